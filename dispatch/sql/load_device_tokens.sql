SELECT token_hash, role, holder, label, demo, issued_by, created_at, revoked_at
FROM device_token
WHERE revoked_at IS NULL;
