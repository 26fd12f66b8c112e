\set file functions
\ir setup.sql
\ir compare.sql
