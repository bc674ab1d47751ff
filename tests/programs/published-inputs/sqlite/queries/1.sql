SELECT sqlite_version();
SELECT name, count(*), sum(cents) FROM sales JOIN shops ON id = shop GROUP BY name ORDER BY 3 DESC;
SELECT day, sum(cents) OVER (ORDER BY day ROWS 6 PRECEDING) FROM sales WHERE shop = 2 AND day % 60 = 0 LIMIT 5;
SELECT count(*), max(text) FROM notes WHERE notes MATCH 'south';
PRAGMA integrity_check;
