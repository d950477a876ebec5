-- How many rows the projections of region $1 have and a SHA-256 over all of them, for comparing two databases.
SELECT
    count(*) AS row_count,
    encode(sha256(convert_to(coalesce(string_agg(digest, '' ORDER BY row_table, row_id), ''), 'UTF8')), 'hex') AS digest
FROM (
    SELECT
        'report' AS row_table,
        report_id COLLATE "C" AS row_id,
        encode(sha256(convert_to(to_jsonb(report)::text, 'UTF8')), 'hex') AS digest
    FROM report
    WHERE region = $1
    UNION ALL
    SELECT
        'caller' AS row_table,
        report_id COLLATE "C" AS row_id,
        encode(sha256(convert_to(to_jsonb(caller)::text, 'UTF8')), 'hex') AS digest
    FROM caller
    WHERE region = $1
    UNION ALL
    SELECT
        'incident' AS row_table,
        incident_id COLLATE "C" AS row_id,
        encode(sha256(convert_to(to_jsonb(incident)::text, 'UTF8')), 'hex') AS digest
    FROM incident
    WHERE region = $1
    UNION ALL
    SELECT
        'unit' AS row_table,
        unit_id COLLATE "C" AS row_id,
        encode(sha256(convert_to(to_jsonb(unit)::text, 'UTF8')), 'hex') AS digest
    FROM unit
    WHERE region = $1
    UNION ALL
    SELECT
        'assignment' AS row_table,
        assignment_id COLLATE "C" AS row_id,
        encode(sha256(convert_to(to_jsonb(assignment)::text, 'UTF8')), 'hex') AS digest
    FROM assignment
    WHERE region = $1
) AS hashed;
