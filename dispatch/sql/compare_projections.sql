-- Rows of region $1 that differ between the projections and their rebuilt twins (see shadow_projections.sql), at most $2.
-- Both sides as jsonb, because json itself has no equality.
SELECT row_table, row_id, projected, rebuilt
FROM (
    SELECT
        'report' AS row_table,
        coalesce(kept.report_id, made.report_id) AS row_id,
        to_jsonb(kept)::json AS projected,
        to_jsonb(made)::json AS rebuilt,
        to_jsonb(kept) IS DISTINCT FROM to_jsonb(made) AS differs
    FROM (SELECT * FROM public.report WHERE region = $1) AS kept
    FULL JOIN pg_temp.report AS made ON kept.report_id = made.report_id
    UNION ALL
    SELECT
        'caller' AS row_table,
        coalesce(kept.report_id, made.report_id) AS row_id,
        to_jsonb(kept)::json AS projected,
        to_jsonb(made)::json AS rebuilt,
        to_jsonb(kept) IS DISTINCT FROM to_jsonb(made) AS differs
    FROM (SELECT * FROM public.caller WHERE region = $1) AS kept
    FULL JOIN pg_temp.caller AS made ON kept.report_id = made.report_id
    UNION ALL
    SELECT
        'incident' AS row_table,
        coalesce(kept.incident_id, made.incident_id) AS row_id,
        to_jsonb(kept)::json AS projected,
        to_jsonb(made)::json AS rebuilt,
        to_jsonb(kept) IS DISTINCT FROM to_jsonb(made) AS differs
    FROM (SELECT * FROM public.incident WHERE region = $1) AS kept
    FULL JOIN pg_temp.incident AS made ON kept.incident_id = made.incident_id
    UNION ALL
    SELECT
        'unit' AS row_table,
        coalesce(kept.unit_id, made.unit_id) AS row_id,
        to_jsonb(kept)::json AS projected,
        to_jsonb(made)::json AS rebuilt,
        to_jsonb(kept) IS DISTINCT FROM to_jsonb(made) AS differs
    FROM (SELECT * FROM public.unit WHERE region = $1) AS kept
    FULL JOIN pg_temp.unit AS made ON kept.unit_id = made.unit_id
    UNION ALL
    SELECT
        'assignment' AS row_table,
        coalesce(kept.assignment_id, made.assignment_id) AS row_id,
        to_jsonb(kept)::json AS projected,
        to_jsonb(made)::json AS rebuilt,
        to_jsonb(kept) IS DISTINCT FROM to_jsonb(made) AS differs
    FROM (SELECT * FROM public.assignment WHERE region = $1) AS kept
    FULL JOIN pg_temp.assignment AS made ON kept.assignment_id = made.assignment_id
) AS compared
WHERE differs
ORDER BY row_table, row_id
LIMIT $2;
