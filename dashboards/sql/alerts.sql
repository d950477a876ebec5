SELECT
    alert,
    cancelled_at
FROM city_alert
WHERE region = $1 AND sent_at >= $2
ORDER BY sent_at DESC
LIMIT $3;
