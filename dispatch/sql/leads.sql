-- Whether this very session holds the region's lock.
SELECT exists(
    SELECT
    FROM pg_locks
    WHERE
        locktype = 'advisory'
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND pid = pg_backend_pid()
        AND classid = 112
        AND objid::bigint = (hashtext($1)::bigint & 4294967295)
        AND granted
) AS leads;
