-- phase: pre
-- What managers keep: answered what-if questions, and views of the board with whom they are mailed to.
CREATE TABLE scenario (
    id text PRIMARY KEY,
    region text NOT NULL,
    made_at timestamptz NOT NULL,
    kept json NOT NULL
);
CREATE INDEX scenario_by_region ON scenario (region, made_at);
COMMENT ON TABLE scenario IS 'One answered what-if question as its screen shows it; no personal data.';

CREATE TABLE board_view (
    id text PRIMARY KEY,
    region text NOT NULL,
    username text NOT NULL REFERENCES account (username) ON DELETE CASCADE,
    name text NOT NULL,
    query text NOT NULL,
    mail_to text [] NOT NULL DEFAULT '{}',
    mail_every text NOT NULL DEFAULT '',
    made_at timestamptz NOT NULL,
    mailed_for text NOT NULL DEFAULT ''
);
CREATE INDEX board_view_by_owner ON board_view (region, username);
COMMENT ON COLUMN board_view.mailed_for IS 'The last period that was mailed; claimed by one node before it sends.';
