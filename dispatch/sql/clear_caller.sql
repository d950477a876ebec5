DELETE FROM caller
WHERE region = $1;
