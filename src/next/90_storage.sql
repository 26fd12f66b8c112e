-- Where the room goes.
CREATE VIEW fraud.storage WITH (security_barrier) AS
    SELECT s.part, count(*)::int AS tables, sum(s.bytes)::bigint AS bytes, sum(s.rows)::bigint AS about_rows
    FROM fraud._sizes() s
    GROUP BY s.part;
COMMENT ON VIEW fraud.storage IS 'the room that tables take with their indexes, by what they hold; for the owner';
COMMENT ON COLUMN fraud.storage.part IS 'payments, inbox, changes (the log), deliveries, sums, other';
COMMENT ON COLUMN fraud.storage.tables IS 'number of tables, a month of payments is one';
COMMENT ON COLUMN fraud.storage.bytes IS 'of their files and those of their indexes';
COMMENT ON COLUMN fraud.storage.about_rows IS 'as the last ANALYZE counted them';
