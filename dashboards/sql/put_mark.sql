INSERT INTO board_mark (id, region, day, words, made_by, made_at)
VALUES ($1, $2, $3, $4, $5, $6);
