-- phase: pre
-- Where a crew's sleeping phone can be woken (Web Push): the push service's address for it, and its browser's public key and
-- shared secret. Beside the device's token, so that revoking one ends the other. NULL: this phone did not ask for it.
ALTER TABLE device_token
ADD COLUMN push_endpoint text,
ADD COLUMN push_p256dh text,
ADD COLUMN push_auth text;
