SELECT keep_positions($1, $2) AS dropped;
