INSERT INTO migration (room, number, name, phase, checksum)
VALUES ($1, $2, $3, $4, $5);
