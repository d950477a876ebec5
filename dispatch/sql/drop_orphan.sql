-- An acknowledged command has been decided anew. What was called $2[n] when it was acknowledged is called $3[n] now: kept
-- beside the answers, and for as long as they are, because people hold links that carry the old name.
WITH gone AS (
    DELETE FROM orphan
    WHERE id = $1
    RETURNING region
)

INSERT INTO answer (region, scope, key, body_hash, status, body, at)
SELECT
    gone.region,
    'renumbered',
    was.id,
    '',
    200,
    convert_to(was.now_id, 'UTF8'),
    clock_timestamp()
FROM gone
CROSS JOIN unnest($2::text [], $3::text []) AS was (id, now_id)
ON CONFLICT DO NOTHING;
