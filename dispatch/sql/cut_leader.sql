-- Cut the connection that holds the region's lock, so that the lock passes on.
SELECT pg_terminate_backend(pid)
FROM pg_locks
WHERE
    locktype = 'advisory'
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND classid = 112
    AND objid::bigint = (hashtext($1)::bigint & 4294967295)
    AND granted
    AND pid <> pg_backend_pid();
