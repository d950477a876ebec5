SELECT convert_from(body, 'UTF8') AS now_id
FROM answer
WHERE region = $1 AND scope = 'renumbered' AND key = $2;
