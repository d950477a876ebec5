SELECT
    v.id,
    v.username,
    v.name,
    v.query,
    v.mail_to,
    v.mail_every,
    v.made_at,
    v.mailed_for
FROM board_view AS v
INNER JOIN account AS a ON v.username = a.username
WHERE v.region = $1 AND v.mail_every <> '' AND a.disabled_at IS NULL
ORDER BY v.made_at;
