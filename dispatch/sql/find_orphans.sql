SELECT
    id,
    told
FROM orphan
WHERE region = $1
ORDER BY id
LIMIT 100;
