-- One leader a region: two keys, ours (112) and the region's.
SELECT pg_try_advisory_lock(112, hashtext($1)) AS leads;
