DELETE FROM answer
WHERE region = $1 AND at < $2;
