-- phase: pre
-- Which servers are installed, and whether they were given the same secret: a node with another one breaks callers' links and
-- is not believed when it hands commands on. Only a digest, from which the secret cannot be found.

CREATE TABLE node (
    name text PRIMARY KEY,
    url text NOT NULL,
    release text NOT NULL,
    secret_digest bytea NOT NULL,
    seen_at timestamptz NOT NULL
);
COMMENT ON TABLE node IS 'Each server''s last sign of life, hourly; siaga doctor compares them.';
