SELECT body FROM photo
WHERE region = $1 AND incident_id = $2 AND photo_id = $3;
