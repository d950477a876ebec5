SELECT
    token_hash, role, holder, label, demo, issued_by, created_at, revoked_at, push_endpoint, push_p256dh, push_auth
FROM device_token
WHERE revoked_at IS NULL;
