SELECT token_hash, username, expires_at
FROM known_browser
WHERE expires_at > $1;
