DELETE FROM scenario
WHERE
    region = $1
    AND id NOT IN (SELECT s.id FROM scenario AS s WHERE s.region = $1 ORDER BY s.made_at DESC LIMIT $2);
