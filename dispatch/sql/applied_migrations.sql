SELECT room, number, name, phase, checksum, applied_at
FROM migration
ORDER BY applied_at, room, number;
