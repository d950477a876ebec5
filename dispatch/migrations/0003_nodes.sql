-- phase: pre
-- Several servers on one database: who leads a region, and commands that lost their place when a lead changed hands.

CREATE TABLE leader (
    region text PRIMARY KEY,
    node text NOT NULL,
    url text NOT NULL,
    seen_at timestamptz NOT NULL
);
COMMENT ON TABLE leader IS 'The leader''s last sign of life. The journal''s key is the fence; this only tells who to ask.';

CREATE TABLE orphan (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    region text NOT NULL,
    told bytea NOT NULL,
    left_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE orphan IS 'Acknowledged commands whose spooled lines another leader''s lines replaced; the leader decides them anew.';
