INSERT INTO caller_reading (at, region, report_id, username, role, purpose)
VALUES ($1, $2, $3, $4, $5, $6);
