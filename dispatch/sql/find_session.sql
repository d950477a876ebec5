SELECT token_hash, username, csrf_token, created_at, expires_at
FROM session
WHERE token_hash = $1;
