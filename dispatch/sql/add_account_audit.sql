INSERT INTO account_audit (at, actor, subject, action, detail)
VALUES ($1, $2, $3, $4, $5);
