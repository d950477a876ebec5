-- What became of the calls in region $1 from the number that made report $2, received since $3, newest first, without
-- that report: at most $4. Nothing of the caller is read out.
SELECT
    r.rang_at,
    r.state,
    r.dismissed_for,
    i.state AS incident_state,
    i.outcome
FROM caller AS this
INNER JOIN caller AS other ON this.region = other.region AND this.phone = other.phone
INNER JOIN report AS r ON other.region = r.region AND other.report_id = r.report_id
LEFT JOIN incident AS i ON r.region = i.region AND r.incident_id = i.incident_id
WHERE
    this.region = $1
    AND this.report_id = $2
    AND r.report_id <> this.report_id
    AND r.received_at >= $3
ORDER BY r.rang_at DESC
LIMIT $4;
