CREATE TABLE IF NOT EXISTS migration (
    room text NOT NULL,
    number integer NOT NULL,
    name text NOT NULL,
    phase text NOT NULL,
    checksum text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (room, number)
);
