SELECT at
FROM journal
WHERE region = $1 AND seq = $2;
