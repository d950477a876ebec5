-- Lines of region $1 of the kinds $4 written from $2 until before $3, newest first, all before line $5 when it is given.
SELECT seq, at, actor_role, actor_name, kind, body, command_id
FROM journal
WHERE
    region = $1
    AND at >= $2
    AND at < $3
    AND kind = any($4::text [])
    AND ($5::bigint IS NULL OR seq < $5)
ORDER BY seq DESC
LIMIT $6;
