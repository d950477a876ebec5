-- Which of the lines $2 to $3 of region $1 are already there, whose they are and what they say.
SELECT seq, writer, body
FROM journal
WHERE region = $1 AND seq BETWEEN $2 AND $3
ORDER BY seq;
