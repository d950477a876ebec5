INSERT INTO snapshot (region, seq, at, body)
VALUES ($1, $2, $3, $4)
ON CONFLICT (region, seq) DO UPDATE SET (at, body) = ROW (excluded.at, excluded.body);
