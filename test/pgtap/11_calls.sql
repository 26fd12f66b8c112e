\set file calls
\ir setup.sql
\ir compare.sql
