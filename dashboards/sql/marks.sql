SELECT
    id,
    day,
    words,
    made_by,
    made_at
FROM board_mark
WHERE region = $1
ORDER BY day, made_at;
