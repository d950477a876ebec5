SELECT exists(SELECT FROM pg_roles WHERE rolname = $1) AS there;
