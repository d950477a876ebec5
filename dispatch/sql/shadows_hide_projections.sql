-- Whether unqualified names mean the twins on this connection; nothing may be written before this is true.
SELECT
    to_regclass('report') = to_regclass('pg_temp.report')
    AND to_regclass('caller') = to_regclass('pg_temp.caller')
    AND to_regclass('incident') = to_regclass('pg_temp.incident')
    AND to_regclass('unit') = to_regclass('pg_temp.unit')
    AND to_regclass('assignment') = to_regclass('pg_temp.assignment') AS hidden;
