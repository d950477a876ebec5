DELETE FROM scenario
WHERE region = $1 AND id = $2
RETURNING id;
