-- Keeps the newest $2 snapshots of region $1.
DELETE FROM snapshot
WHERE
    region = $1
    AND seq NOT IN (
        SELECT newest.seq
        FROM snapshot AS newest
        WHERE newest.region = $1
        ORDER BY newest.seq DESC
        LIMIT $2
    );
