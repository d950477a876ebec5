INSERT INTO device_token (token_hash, role, holder, label, demo, issued_by, created_at, revoked_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (token_hash) DO UPDATE SET revoked_at = excluded.revoked_at;
