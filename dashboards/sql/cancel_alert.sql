UPDATE city_alert
SET cancelled_at = $3
WHERE region = $1 AND id = $2 AND cancelled_at IS NULL
RETURNING id;
