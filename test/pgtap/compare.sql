-- Compares a file of the contract with what the catalog has: one test an object.
-- Takes :file, the name of the file and of the view contract_<file>.
\setenv file :file
\set contract `grep -v '^#' contract/$file`
\set actual contract_ :file
CREATE TEMP TABLE wanted AS
    SELECT trim(split_part(split_part(entry, ' | ', 1), E'\n', 1)) AS key, rtrim(entry, E' \n') AS line
    FROM regexp_split_to_table(:'contract', '\n(?! )') entry WHERE entry <> '';
CREATE TEMP TABLE found AS SELECT key, line FROM :actual;
SET LOCAL search_path = :tap, pg_catalog, pg_temp;
SELECT plan((SELECT count(*)::int + 1 FROM wanted FULL JOIN found USING (key)));
SELECT is((SELECT string_agg(key, ', ') FROM (SELECT key FROM wanted GROUP BY key HAVING count(*) > 1) d), NULL,
          format('contract/%s names nothing twice', :'file'));
SELECT CASE
    WHEN w.key IS NULL THEN fail(f.key || ' has an entry') || E'\n' || diag(format(
        E'contract/%s does not know it. If it is meant to be so, add the line\n%s\n(or run tools/contract, and read the diff).', :'file', f.line))
    WHEN f.key IS NULL THEN fail(w.key || ' is there') || E'\n' || diag(format(
        E'contract/%s has an entry for it, the catalog does not have it. If it is meant to be gone, take off the line\n%s', :'file', w.line))
    ELSE is(f.line, w.line, f.key)
    END
FROM (SELECT DISTINCT ON (key) * FROM wanted) w FULL JOIN found f USING (key)
ORDER BY coalesce(w.key, f.key) COLLATE "C";
SELECT * FROM finish();
ROLLBACK;
