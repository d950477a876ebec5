DELETE FROM known_browser
WHERE expires_at <= $1;
