SELECT seq, at, body
FROM snapshot
WHERE region = $1
ORDER BY seq DESC
LIMIT 1;
