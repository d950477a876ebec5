DELETE FROM assignment
WHERE region = $1;
