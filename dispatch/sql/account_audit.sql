-- Newest first.
SELECT at, actor, subject, action, detail
FROM account_audit
ORDER BY id DESC
LIMIT $1;
