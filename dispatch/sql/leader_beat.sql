-- A sign of life, and where the leader answers.
INSERT INTO leader (region, node, url, seen_at) VALUES ($1, $2, $3, clock_timestamp())
ON CONFLICT (region) DO UPDATE SET (node, url, seen_at) = ROW (excluded.node, excluded.url, excluded.seen_at);
