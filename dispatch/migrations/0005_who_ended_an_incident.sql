-- phase: pre
-- Whoever closed or cancelled an incident may take it back for a moment.
ALTER TABLE incident ADD COLUMN ended_by text;
