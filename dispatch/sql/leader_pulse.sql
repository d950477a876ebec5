UPDATE leader
SET seen_at = clock_timestamp()
WHERE region = $1 AND node = $2;
