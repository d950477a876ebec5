-- Kept fixes of the units $2 of region $1 received from $3 to $4, in order of the devices' own time. More than $5 are
-- thinned evenly, every `step`-th of all.
WITH fix AS (
    SELECT
        unit_id, lon, lat, fixed_at, heading_deg, row_number() OVER (ORDER BY fixed_at, unit_id) AS number,
        (count(*) OVER () - 1) / $5::bigint + 1 AS step
    FROM position
    WHERE region = $1 AND unit_id = any($2::text []) AND received_at >= $3 AND received_at <= $4
)

SELECT unit_id, lon, lat, fixed_at, heading_deg, step
FROM fix
WHERE number % step = 0
ORDER BY number;
