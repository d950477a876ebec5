-- Temporary twins of the projection tables. They hide the real ones from `append_batch` on this connection, so that a
-- rebuild writes them with the very statement the server uses.
CREATE TEMPORARY TABLE report (LIKE public.report INCLUDING ALL) ON COMMIT DROP;
CREATE TEMPORARY TABLE caller (LIKE public.caller INCLUDING ALL) ON COMMIT DROP;
CREATE TEMPORARY TABLE incident (LIKE public.incident INCLUDING ALL) ON COMMIT DROP;
CREATE TEMPORARY TABLE unit (LIKE public.unit INCLUDING ALL) ON COMMIT DROP;
CREATE TEMPORARY TABLE assignment (LIKE public.assignment INCLUDING ALL) ON COMMIT DROP;
