-- phase: pre
-- Fixes of a day without its partition lie in position_other, and PostgreSQL refuses to make that partition over their
-- heads. So the day's table is made apart, takes them over, and only then becomes a partition.
CREATE OR REPLACE FUNCTION keep_positions(now_at timestamptz, keep_days integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT SET timezone = 'UTC' AS $$
DECLARE
    day date;
    part_name text;
    part record;
    dropped integer := 0;
BEGIN
    IF keep_days < 1 THEN
        RAISE EXCEPTION 'keep_days must be at least 1' USING ERRCODE = '22023';
    END IF;
    PERFORM pg_advisory_xact_lock(112, 3);
    FOR ahead IN 0..2 LOOP
        day := now_at::date + ahead;
        part_name := 'position_' || to_char(day, 'YYYYMMDD');
        CONTINUE WHEN to_regclass(part_name) IS NOT NULL;
        EXECUTE format('CREATE TABLE %I (LIKE position INCLUDING DEFAULTS)', part_name);
        EXECUTE format(
            'WITH moved AS (DELETE FROM position_other WHERE received_at >= %2$L AND received_at < %3$L RETURNING *)
             INSERT INTO %1$I SELECT * FROM moved',
            part_name, day::timestamptz, (day + 1)::timestamptz);
        EXECUTE format('ALTER TABLE position ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
            part_name, day::timestamptz, (day + 1)::timestamptz);
    END LOOP;
    FOR part IN
        SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'position'::regclass AND c.relname ~ '^position_[0-9]{8}$'
          AND to_date(right(c.relname, 8), 'YYYYMMDD') < now_at::date - keep_days
    LOOP
        EXECUTE format('DROP TABLE %I', part.relname);
        dropped := dropped + 1;
    END LOOP;
    -- What no partition ever took, by device clocks of long ago or a server that slept for a month.
    DELETE FROM position_other WHERE received_at < now_at - make_interval(days => keep_days);
    RETURN dropped;
END
$$;
