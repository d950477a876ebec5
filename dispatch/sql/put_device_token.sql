INSERT INTO device_token (
    token_hash, role, holder, label, demo, issued_by, created_at, revoked_at, push_endpoint, push_p256dh, push_auth
)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
ON CONFLICT (token_hash) DO UPDATE SET
revoked_at = excluded.revoked_at,
push_endpoint = excluded.push_endpoint,
push_p256dh = excluded.push_p256dh,
push_auth = excluded.push_auth;
