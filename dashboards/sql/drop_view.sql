DELETE FROM board_view
WHERE region = $1 AND username = $2 AND id = $3
RETURNING id;
