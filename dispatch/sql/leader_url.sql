-- Where the region's leader answers, by its last sign of life.
SELECT url FROM leader WHERE region = $1;
