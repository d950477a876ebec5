-- phase: pre
-- A warning that a response will be late is taken on by somebody or goes up the ladder (dispatch/alarms.py, LADDER).
ALTER TABLE incident
ADD COLUMN warning_level integer NOT NULL DEFAULT 0,
ADD COLUMN warning_due_at timestamptz,
ADD COLUMN warning_acked_at timestamptz;
