-- phase: pre
-- Pictures from the scene, made anew without metadata (dispatch/photos.py). In the database and not in a node's folder, so that
-- every node shows them and they are backed up, replicated and restored with the journal line that names them.
CREATE TABLE photo (
    region text NOT NULL,
    incident_id text NOT NULL,
    photo_id text NOT NULL,
    body bytea NOT NULL CHECK (octet_length(body) <= 4194304),
    PRIMARY KEY (region, incident_id, photo_id)
);
-- A JPEG does not become smaller: do not try.
ALTER TABLE photo ALTER COLUMN body SET STORAGE EXTERNAL;
