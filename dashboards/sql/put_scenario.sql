INSERT INTO scenario (id, region, made_at, kept)
VALUES ($1, $2, $3, $4);
