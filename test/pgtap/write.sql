-- Writes the contract anew from the catalog: what tools/contract runs.
\ir setup.sql
\pset format unaligned
\pset tuples_only on
\o contract/functions
\qecho '# Every function: who may execute it (kinds of access), with whose rights its body runs, language'
\qecho '# (sql parsed: an SQL-standard body), volatility, null input, parallel safety, settings (pinned:'
\qecho '# search_path = pg_catalog, pg_temp). Written by tools/contract, compared by test/pgtap/10_functions.sql.'
SELECT '# Kinds of access: ' || string_agg(kind, ', ' ORDER BY place) || '.' FROM kinds;
SELECT line FROM contract_functions ORDER BY key COLLATE "C";
\o contract/calls
\qecho '# How the public functions are called: arguments with names and defaults, and result.'
\qecho '# Written by tools/contract, compared by test/pgtap/11_calls.sql.'
SELECT line FROM contract_calls ORDER BY key COLLATE "C";
\o contract/relations
\qecho '# Every table and view: kind, who reads all of it, who reads some of its columns, who writes, primary key,'
\qecho '# replica identity, whether pg_dump carries its rows, options. Written by tools/contract, compared by'
\qecho '# test/pgtap/12_relations.sql.'
SELECT line FROM contract_relations ORDER BY key COLLATE "C";
\o contract/columns
\qecho '# The columns of every table and view: type, whether null is refused, and who reads it where that is'
\qecho '# not whoever reads the relation. Written by tools/contract, compared by test/pgtap/13_columns.sql.'
SELECT line FROM contract_columns ORDER BY key COLLATE "C";
\o
ROLLBACK;
