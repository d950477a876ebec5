DELETE FROM board_mark
WHERE region = $1 AND id = $2
RETURNING id;
