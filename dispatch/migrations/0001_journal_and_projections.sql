-- phase: pre
-- The journal, what is derived from it, and what stands beside it. Region first in every key: one database, many regions.

-- The truth. `body` is json, not jsonb: the text stays byte for byte what the engine decided, and measured on our events
-- (dispatch/bench_journal.py) json is written 1.6 and read 3 times as fast.
CREATE TABLE journal (
    region text NOT NULL,
    seq bigint NOT NULL CHECK (seq >= 1),
    at timestamptz NOT NULL,
    actor_role text NOT NULL,
    actor_name text NOT NULL,
    kind text NOT NULL,
    body json NOT NULL,
    command_id text,
    -- Which process wrote the line: a writer recognises its own lines when the confirmation of a commit was lost.
    writer uuid NOT NULL,
    PRIMARY KEY (region, seq)
);
-- Times never run back along seq, so a block range index finds a time span at next to no cost on writing.
CREATE INDEX journal_at ON journal USING brin (at) WITH (pages_per_range = 16, autosummarize = on);
COMMENT ON TABLE journal IS 'Everything that happened, in order. Append only, no gaps; body carries personal data.';

CREATE FUNCTION journal_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is refused: the journal is append-only', TG_OP USING ERRCODE = 'SG001';
END
$$;
CREATE TRIGGER journal_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON journal
FOR EACH STATEMENT EXECUTE FUNCTION journal_is_append_only();

CREATE FUNCTION journal_has_no_gaps() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    part record;
BEGIN
    FOR part IN SELECT region, min(seq) AS first, max(seq) AS last, count(*) AS lines FROM added GROUP BY region LOOP
        IF part.last - part.first + 1 <> part.lines OR part.first > 1 AND NOT EXISTS (
            SELECT FROM journal WHERE journal.region = part.region AND journal.seq = part.first - 1
        ) THEN
            RAISE EXCEPTION 'lines % to % would leave a gap', part.first, part.last USING ERRCODE = 'SG002';
        END IF;
    END LOOP;
    RETURN NULL;
END
$$;
CREATE TRIGGER journal_no_gaps AFTER INSERT ON journal
REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION journal_has_no_gaps();

CREATE TABLE snapshot (
    region text NOT NULL,
    seq bigint NOT NULL,
    at timestamptz NOT NULL,
    body bytea NOT NULL,
    PRIMARY KEY (region, seq)
);
COMMENT ON TABLE snapshot IS 'State after line seq, so that a start needs only the tail. Can always be made again.';

CREATE TABLE answer (
    region text NOT NULL,
    scope text NOT NULL,
    key text NOT NULL,
    body_hash text NOT NULL,
    status smallint NOT NULL,
    body bytea NOT NULL,
    at timestamptz NOT NULL,
    PRIMARY KEY (region, scope, key)
);
CREATE INDEX answer_at ON answer (region, at);
COMMENT ON TABLE answer IS 'First answers under idempotency keys; pruned by age.';

-- Projections: dispatch/model.py as rows. Written in the transaction of the lines they follow from, rebuilt from the
-- journal at will. Columns carry the field names of the structs; a test holds the two together.

CREATE TABLE report (
    region text NOT NULL,
    report_id text NOT NULL,
    channel text NOT NULL,
    state text NOT NULL,
    rang_at timestamptz NOT NULL,
    received_at timestamptz NOT NULL,
    answered_at timestamptz,
    submitted_at timestamptz,
    ended_at timestamptz,
    kind text,
    place json,
    lon double precision GENERATED ALWAYS AS ((place ->> 'lon')::double precision) STORED,
    lat double precision GENERATED ALWAYS AS ((place ->> 'lat')::double precision) STORED,
    description text NOT NULL,
    call_id text,
    incident_id text,
    answered_by text,
    dismissed_for text,
    repeat_of text,
    PRIMARY KEY (region, report_id)
);
CREATE INDEX report_of_incident ON report (region, incident_id) WHERE incident_id IS NOT NULL;
CREATE INDEX report_received_at ON report (region, received_at);
COMMENT ON TABLE report IS 'One call or message. Who called stands in caller, apart.';

CREATE TABLE caller (
    region text NOT NULL,
    report_id text NOT NULL,
    phone text,
    name text,
    PRIMARY KEY (region, report_id)
);
COMMENT ON TABLE caller IS 'Personal data of who reported: no grant to readers, every reading recorded in caller_reading.';

CREATE TABLE incident (
    region text NOT NULL,
    incident_id text NOT NULL,
    kind text NOT NULL,
    priority integer NOT NULL,
    highest_priority integer NOT NULL,
    place json NOT NULL,
    lon double precision GENERATED ALWAYS AS ((place ->> 'lon')::double precision) STORED,
    lat double precision GENERATED ALWAYS AS ((place ->> 'lat')::double precision) STORED,
    state text NOT NULL,
    first_ring_at timestamptz NOT NULL,
    opened_at timestamptz NOT NULL,
    plan text NOT NULL,
    mode text NOT NULL,
    alarm_level integer NOT NULL,
    zone text,
    report_ids text [] NOT NULL,
    assignment_ids text [] NOT NULL,
    first_assigned_at timestamptz,
    first_at_scene_at timestamptz,
    first_capable_at_scene_at timestamptz,
    warned_at timestamptz,
    breached_at timestamptz,
    retry_at timestamptz,
    required text [] NOT NULL,
    unfilled text [] NOT NULL,
    "like" json NOT NULL,
    chance double precision,
    predicted_at timestamptz,
    confirmed boolean NOT NULL,
    confirm_due_at timestamptz,
    assigned_count integer NOT NULL,
    merged_into text,
    state_before_merge text,
    reports_before_merge text [] NOT NULL,
    ended_at timestamptz,
    outcome text,
    triage json NOT NULL,
    version integer NOT NULL,
    PRIMARY KEY (region, incident_id)
);
CREATE INDEX incident_opened_at ON incident (region, opened_at);
CREATE INDEX incident_running ON incident (region, opened_at) WHERE ended_at IS NULL;

CREATE TABLE unit (
    region text NOT NULL,
    unit_id text NOT NULL,
    unit_type text NOT NULL,
    agency text NOT NULL,
    state text NOT NULL,
    capabilities text [] NOT NULL,
    mode text NOT NULL,
    home_post text,
    post text,
    moving_up_since timestamptz,
    assignment_id text,
    crew text [] NOT NULL,
    since timestamptz,
    out_of_service_for text,
    moves_today integer NOT NULL,
    duty_since timestamptz,
    PRIMARY KEY (region, unit_id)
);

CREATE TABLE assignment (
    region text NOT NULL,
    assignment_id text NOT NULL,
    incident_id text NOT NULL,
    unit_id text NOT NULL,
    capability text NOT NULL,
    state text NOT NULL,
    assigned_at timestamptz NOT NULL,
    assigned_by text NOT NULL,
    first boolean NOT NULL,
    eta_s double precision,
    arrival_sd_s double precision NOT NULL,
    ack_due_at timestamptz,
    alerts integer NOT NULL,
    voice_task_at timestamptz,
    delivered_at timestamptz,
    seen_at timestamptz,
    acknowledged_at timestamptz,
    en_route_at timestamptz,
    at_scene_at timestamptz,
    geofence_at timestamptz,
    at_patient_at timestamptz,
    transporting_at timestamptz,
    at_hospital_at timestamptz,
    ended_at timestamptz,
    hospital_id text,
    reason text NOT NULL,
    device_at json NOT NULL,
    PRIMARY KEY (region, assignment_id)
);
CREATE INDEX assignment_of_incident ON assignment (region, incident_id);
CREATE INDEX assignment_of_unit ON assignment (region, unit_id, assigned_at);

-- Where units were. Not the truth of anything that must not be lost: batches by COPY, one partition a day, dropped by age.
CREATE TABLE position (
    region text NOT NULL,
    unit_id text NOT NULL,
    lon double precision NOT NULL,
    lat double precision NOT NULL,
    fixed_at timestamptz NOT NULL,
    received_at timestamptz NOT NULL,
    accuracy_m real,
    speed_mps real,
    heading_deg real,
    source text NOT NULL
) PARTITION BY RANGE (received_at);
CREATE INDEX position_of_unit ON position (region, unit_id, received_at);
CREATE TABLE position_other PARTITION OF position DEFAULT;
COMMENT ON TABLE position_other IS 'Net for fixes of days without a partition; stays empty when keep_positions runs daily.';

-- Makes the partitions of today and the next two days and drops those older than keep_days. Runs with the owner's
-- rights because the application may not create or drop tables. Days are UTC.
CREATE FUNCTION keep_positions(now_at timestamptz, keep_days integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT SET timezone = 'UTC' AS $$
DECLARE
    day date;
    part record;
    dropped integer := 0;
BEGIN
    IF keep_days < 1 THEN
        RAISE EXCEPTION 'keep_days must be at least 1' USING ERRCODE = '22023';
    END IF;
    PERFORM pg_advisory_xact_lock(112, 3);
    FOR ahead IN 0..2 LOOP
        day := now_at::date + ahead;
        IF to_regclass('position_' || to_char(day, 'YYYYMMDD')) IS NULL THEN
            EXECUTE format('CREATE TABLE %I PARTITION OF position FOR VALUES FROM (%L) TO (%L)',
                'position_' || to_char(day, 'YYYYMMDD'), day::timestamptz, (day + 1)::timestamptz);
        END IF;
    END LOOP;
    FOR part IN
        SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'position'::regclass AND c.relname ~ '^position_[0-9]{8}$'
          AND to_date(right(c.relname, 8), 'YYYYMMDD') < now_at::date - keep_days
    LOOP
        EXECUTE format('DROP TABLE %I', part.relname);
        dropped := dropped + 1;
    END LOOP;
    RETURN dropped;
END
$$;
REVOKE ALL ON FUNCTION keep_positions(timestamptz, integer) FROM public;
