\set file relations
\ir setup.sql
\ir compare.sql
