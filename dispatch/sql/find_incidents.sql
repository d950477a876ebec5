-- Incidents of region $1 first rung from $2 until before $3, newest first: of kind $4, whose number, address, outcome or a
-- report's words are like $5, and within $8 metres of $6, $7 (lon, lat; flat earth, right to 0.1 % within a city), each
-- only when given. $9: the last incident of the page before. No caller is looked at.
SELECT
    i.incident_id, i.kind, i.priority, i.state, i.place, i.zone, i.first_ring_at, i.first_capable_at_scene_at,
    i.ended_at, i.outcome
FROM incident AS i
WHERE
    i.region = $1
    AND i.first_ring_at >= $2
    AND i.first_ring_at < $3
    AND ($4::text IS NULL OR i.kind = $4)
    AND (
        $5::text IS NULL
        OR i.incident_id ILIKE $5
        OR i.place ->> 'address' ILIKE $5
        OR i.outcome ILIKE $5
        OR EXISTS (
            SELECT
            FROM report AS r
            WHERE r.region = i.region AND r.incident_id = i.incident_id AND r.description ILIKE $5
        )
    )
    AND (
        $8::double precision IS NULL
        OR sqrt(
            power((i.lon - $6::double precision) * cos(radians($7::double precision)), 2)
            + power(i.lat - $7::double precision, 2)
        ) * 111320 <= $8
    )
    AND (
        $9::text IS NULL
        OR (i.first_ring_at, i.incident_id) < (
            SELECT p.first_ring_at, p.incident_id
            FROM incident AS p
            WHERE p.region = $1 AND p.incident_id = $9
        )
    )
ORDER BY i.first_ring_at DESC, i.incident_id DESC
LIMIT $10;
