-- Lines of region $1 with $2 < seq <= $3, at most $4, in order.
SELECT seq, at, actor_role, actor_name, kind, body, command_id
FROM journal
WHERE region = $1 AND seq > $2 AND seq <= $3
ORDER BY seq
LIMIT $4;
