-- phase: pre
-- Who may do what, and who looked at what. Secrets are kept only as hashes.

CREATE TABLE account (
    username text PRIMARY KEY CHECK (username = lower(username)),
    name text NOT NULL,
    role text NOT NULL,
    password_hash text NOT NULL,
    demo boolean NOT NULL,
    created_at timestamptz NOT NULL,
    disabled_at timestamptz
);

CREATE TABLE session (
    token_hash bytea PRIMARY KEY,
    username text NOT NULL REFERENCES account,
    csrf_token text NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL
);
CREATE INDEX session_username ON session (username);

-- A browser that has signed in to this account before. Guessing from elsewhere cannot make it wait.
CREATE TABLE known_browser (
    token_hash bytea PRIMARY KEY,
    username text NOT NULL REFERENCES account,
    expires_at timestamptz NOT NULL
);

-- Bearer tokens of machines: a unit's device (role crew, holder = unit id) or a partner's system (role partner).
CREATE TABLE device_token (
    token_hash bytea PRIMARY KEY,
    role text NOT NULL CHECK (role IN ('crew', 'partner')),
    holder text NOT NULL,
    label text NOT NULL,
    demo boolean NOT NULL,
    issued_by text NOT NULL,
    created_at timestamptz NOT NULL,
    revoked_at timestamptz
);
CREATE INDEX device_token_holder ON device_token (holder);

CREATE TABLE account_audit (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL,
    actor text NOT NULL,
    subject text NOT NULL,
    action text NOT NULL,
    detail json NOT NULL
);
COMMENT ON TABLE account_audit IS 'Every change of an account, session or token: who, whom, what. Append only.';

CREATE TABLE caller_reading (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL,
    region text NOT NULL,
    report_id text NOT NULL,
    username text NOT NULL,
    role text NOT NULL,
    purpose text NOT NULL
);
CREATE INDEX caller_reading_report ON caller_reading (region, report_id);
COMMENT ON TABLE caller_reading IS 'Who saw a caller''s personal data, when and why (UU 27/2022 on personal data). Append only.';

CREATE FUNCTION audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is refused: % is append-only', TG_OP, TG_TABLE_NAME USING ERRCODE = 'SG001';
END
$$;
CREATE TRIGGER account_audit_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON account_audit
FOR EACH STATEMENT EXECUTE FUNCTION audit_is_append_only();
CREATE TRIGGER caller_reading_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON caller_reading
FOR EACH STATEMENT EXECUTE FUNCTION audit_is_append_only();
