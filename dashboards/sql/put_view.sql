INSERT INTO board_view (id, region, username, name, query, mail_to, mail_every, made_at, mailed_for)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9);
