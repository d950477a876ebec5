-- How many lines region $1 has up to $2 (null: all), the last one and a SHA-256 over all of them, byte for byte.
SELECT
    count(*) AS lines,
    coalesce(max(seq), 0) AS last_seq,
    encode(sha256(convert_to(coalesce(string_agg(digest, '' ORDER BY seq), ''), 'UTF8')), 'hex') AS digest
FROM (
    SELECT
        seq,
        encode(
            sha256(
                convert_to(
                    json_build_array(seq, at, actor_role, actor_name, kind, body::text, command_id)::text, 'UTF8'
                )
            ),
            'hex'
        ) AS digest
    FROM journal
    WHERE region = $1 AND ($2::bigint IS NULL OR seq <= $2)
) AS hashed;
