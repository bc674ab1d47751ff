CREATE TABLE shops(id INTEGER PRIMARY KEY, name TEXT UNIQUE);
CREATE TABLE sales(shop INTEGER REFERENCES shops, day INTEGER, cents INTEGER);
CREATE INDEX sales_by_shop ON sales(shop, day);
CREATE VIRTUAL TABLE notes USING fts5(text);
