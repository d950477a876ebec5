SELECT pg_advisory_unlock(112, 1);
