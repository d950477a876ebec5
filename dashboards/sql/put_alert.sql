INSERT INTO city_alert (id, region, sent_at, alert)
VALUES ($1, $2, $3, $4);
