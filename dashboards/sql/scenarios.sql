SELECT kept
FROM scenario
WHERE region = $1
ORDER BY made_at DESC
LIMIT $2;
