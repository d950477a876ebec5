-- phase: pre
-- What crews report from the scene (counts, notes, a word to the hospital), their signs of life, and what their check of the
-- vehicle found. Rows written before keep the defaults: nobody had counted, watched or checked then. Only notes of incidents
-- noted before this migration stand in the journal alone until `siaga projections rebuild`.
ALTER TABLE incident ADD COLUMN notes text [] NOT NULL DEFAULT '{}', ADD COLUMN patients integer;
ALTER TABLE unit ADD COLUMN faults text [] NOT NULL DEFAULT '{}';
ALTER TABLE assignment
ADD COLUMN notice text NOT NULL DEFAULT '',
ADD COLUMN check_due_at timestamptz,
ADD COLUMN silent_at timestamptz,
ADD COLUMN receipts json NOT NULL DEFAULT '{}';
