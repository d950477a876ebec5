-- Newest first; $2 null means of every report.
SELECT at, region, report_id, username, role, purpose
FROM caller_reading
WHERE region = $1 AND ($2::text IS NULL OR report_id = $2)
ORDER BY id DESC
LIMIT $3;
