-- phase: pre
-- A move-up that waits for a dispatcher, or that one has declined.
ALTER TABLE unit ADD COLUMN move_up json;
