SELECT DISTINCT region
FROM journal
ORDER BY region;
