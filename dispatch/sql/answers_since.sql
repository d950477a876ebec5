SELECT scope, key, body_hash, status, body, at
FROM answer
WHERE region = $1 AND at >= $2
ORDER BY at, scope, key;
