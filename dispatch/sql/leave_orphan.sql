INSERT INTO orphan (region, told) VALUES ($1, $2);
