-- Incident $2 of region $1 with its reports and assignments as JSON rows of `model.py`; a caller is in none of them.
SELECT
    row_to_json(i)::text AS incident,
    (
        SELECT coalesce(json_agg(r ORDER BY r.rang_at), '[]')::text
        FROM report AS r
        WHERE r.region = i.region AND r.report_id = any(i.report_ids)
    ) AS reports,
    (
        SELECT coalesce(json_agg(a ORDER BY a.assigned_at), '[]')::text
        FROM assignment AS a
        WHERE a.region = i.region AND a.assignment_id = any(i.assignment_ids)
    ) AS assignments
FROM incident AS i
WHERE i.region = $1 AND i.incident_id = $2;
