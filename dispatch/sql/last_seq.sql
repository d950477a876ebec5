SELECT coalesce(max(seq), 0) AS seq
FROM journal
WHERE region = $1;
