-- phase: pre
-- Changes people note on the control charts.
CREATE TABLE board_mark (
    id text PRIMARY KEY,
    region text NOT NULL,
    day date NOT NULL,
    words text NOT NULL,
    made_by text NOT NULL,
    made_at timestamptz NOT NULL
);
CREATE INDEX board_mark_by_region ON board_mark (region, day);
COMMENT ON TABLE board_mark IS 'What was changed in the service and when, as a line on the charts; no personal data but who wrote it.';
