-- phase: pre
-- Warnings to the public, as published: CAP messages are made from these rows.
CREATE TABLE city_alert (
    id text PRIMARY KEY,
    region text NOT NULL,
    sent_at timestamptz NOT NULL,
    cancelled_at timestamptz,
    alert json NOT NULL
);
CREATE INDEX city_alert_by_region ON city_alert (region, sent_at);
COMMENT ON TABLE city_alert IS 'Published warnings are never changed, only cancelled: people have acted on them.';
