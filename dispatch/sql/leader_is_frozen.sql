-- Whether the leader's last sign of life is older than $2 seconds, by the database's own clock.
SELECT exists(
    SELECT FROM leader WHERE region = $1 AND seen_at < clock_timestamp() - make_interval(secs => $2)
) AS frozen;
