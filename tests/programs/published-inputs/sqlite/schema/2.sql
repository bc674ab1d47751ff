BEGIN;
INSERT INTO shops VALUES (1, 'north'), (2, 'south'), (3, 'élan');
WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 29999)
    INSERT INTO sales SELECT i % 3 + 1, i / 100, (i * 7919) % 10007 FROM n;
INSERT INTO notes SELECT name || ' sold on day ' || day FROM sales JOIN shops ON id = shop WHERE cents < 50;
COMMIT;
VACUUM;
