SELECT username, name, role, password_hash, demo, created_at, disabled_at
FROM account;
