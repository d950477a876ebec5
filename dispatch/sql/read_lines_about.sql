-- Lines of region $1 written from $2 to $3 whose subject is one of the ids $4: the timeline of an incident.
-- The block range index on `at` narrows the journal to the time span, a look at the text ($6: patterns of the quoted ids)
-- to the lines that name one anywhere, and only those are parsed: CASE keeps that order.
SELECT seq, at, actor_role, actor_name, kind, body, command_id
FROM journal
WHERE
    region = $1
    AND at >= $2
    AND at <= $3
    AND CASE
        WHEN body::text LIKE any($6::text [])
            THEN
                body ->> 'incident_id' = any($4::text [])
                OR body ->> 'assignment_id' = any($4::text [])
                OR body ->> 'report_id' = any($4::text [])
                OR body ->> 'unit_id' = any($4::text [])
        ELSE false
    END
ORDER BY seq
LIMIT $5;
