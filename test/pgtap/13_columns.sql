\set file columns
\ir setup.sql
\ir compare.sql
