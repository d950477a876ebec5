SELECT pg_advisory_lock(112, 1);
