UPDATE board_view
SET mailed_for = $4
WHERE region = $1 AND id = $2 AND mailed_for = $3
RETURNING id;
