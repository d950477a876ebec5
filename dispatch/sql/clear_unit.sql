DELETE FROM unit
WHERE region = $1;
