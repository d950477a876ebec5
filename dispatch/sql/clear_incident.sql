DELETE FROM incident
WHERE region = $1;
