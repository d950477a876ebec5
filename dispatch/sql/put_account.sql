INSERT INTO account (username, name, role, password_hash, demo, created_at, disabled_at)
VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (username) DO UPDATE SET (
    name, role, password_hash, demo, disabled_at
) = ROW (excluded.name, excluded.role, excluded.password_hash, excluded.demo, excluded.disabled_at);
