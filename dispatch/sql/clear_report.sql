DELETE FROM report
WHERE region = $1;
