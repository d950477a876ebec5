DELETE FROM session
WHERE token_hash = any($1::bytea []);
