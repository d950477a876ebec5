-- Whether it was new: the same picture sent twice is one.
INSERT INTO photo (region, incident_id, photo_id, body) VALUES ($1, $2, $3, $4)
ON CONFLICT DO NOTHING RETURNING photo_id;
