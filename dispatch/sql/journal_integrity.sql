-- Of region $1: how many lines, the last seq, and the first line whose time runs back (null: none).
SELECT
    count(*) AS lines,
    coalesce(max(seq), 0) AS last_seq,
    min(seq) FILTER (WHERE at < at_before) AS time_ran_back_at
FROM (
    SELECT
        seq,
        at,
        lag(at) OVER (ORDER BY seq) AS at_before
    FROM journal
    WHERE region = $1
) AS neighbours;
