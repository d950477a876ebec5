SELECT
    id,
    username,
    name,
    query,
    mail_to,
    mail_every,
    made_at,
    mailed_for
FROM board_view
WHERE region = $1 AND username = $2
ORDER BY made_at;
