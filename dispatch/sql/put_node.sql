WITH gone AS (
    DELETE FROM node
    WHERE seen_at < clock_timestamp() - interval '30 days'
)

INSERT INTO node (name, url, release, secret_digest, seen_at)
VALUES ($1, $2, $3, $4, clock_timestamp())
ON CONFLICT (name) DO UPDATE
SET
    url = excluded.url,
    release = excluded.release,
    secret_digest = excluded.secret_digest,
    seen_at = excluded.seen_at;
