-- Reports of region $1 received from $2 until before $3 whose caller's number ends in the digits $4 or whose name is like
-- $5, newest first. Personal data: shown only after the reading was recorded.
SELECT r.report_id, r.incident_id, r.rang_at, r.channel, r.kind, r.description, c.phone, c.name
FROM caller AS c
INNER JOIN report AS r ON c.region = r.region AND c.report_id = r.report_id
WHERE
    c.region = $1
    AND r.received_at >= $2
    AND r.received_at < $3
    AND (
        right(regexp_replace(c.phone, '[^0-9]', '', 'g'), length($4::text)) = $4
        OR c.name ILIKE $5::text
    )
ORDER BY r.rang_at DESC
LIMIT $6;
