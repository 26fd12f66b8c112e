-- Which conditions run nobody's code but Postgres's: those alone are enforced under fraud_detect.four_eyes, and evaluated for others.
\set SHOW_CONTEXT never
SET timezone = 'UTC';
SET client_min_messages = warning;
CREATE ROLE plain_owner;
CREATE ROLE plain_second;
SELECT fraud.grant_access('plain_owner', 'scientist'), fraud.grant_access('plain_owner', 'analyst'), fraud.grant_access('plain_second', 'analyst');
GRANT CREATE, USAGE ON SCHEMA public TO plain_owner;
GRANT SELECT ON stump TO plain_owner;
SET ROLE plain_owner;
CREATE TYPE pl_kind AS ENUM ('card', 'wire', 'cash');
CREATE DOMAIN pl_country AS text CHECK (VALUE ~ '^[A-Z]{2}$');
CREATE DOMAIN pl_code AS varchar(3) CHECK (length(VALUE) > 1);
CREATE DOMAIN pl_way AS pl_kind NOT NULL CHECK (VALUE <> 'cash');
CREATE DOMAIN pl_cents AS numeric(12, 2) CHECK (VALUE >= 0);
CREATE TYPE pl_pair AS (a int, b pl_kind);
CREATE TABLE pl_orders (no bigint PRIMARY KEY, at timestamptz NOT NULL, amount pl_cents, kind pl_kind, kinds pl_kind[], country pl_country, countries pl_country[], code pl_code, way pl_way DEFAULT 'card', pair pl_pair, note text);
GRANT SELECT ON pl_orders TO plain_second;
SELECT fraud.create_feature_set('pl_orders', 'pl_orders', 'no', 'at'), fraud.add_feature('pl_orders', 'amount', 'amount'), fraud.add_feature('pl_orders', 'orders_30d', '0');
SELECT fraud.import_model('pl_orders', convert_to(replace(replace(replace(convert_from(artifact, 'UTF8'),
    '"a", "b"', '"amount", "orders_30d"'), '[1.0, 0.5, -0.25]', '[1000.0, -3.0, 3.0]'), '[2.0, 1.0, -1.0]', '[3.0, 0.0, 2.0]'), 'UTF8')) FROM stump;
SELECT fraud.promote('pl_orders', 1, review_at => 0.5, block_at => 0.97), fraud.watch('pl_orders');
-- Casts that somebody makes of his types, and looks of his own.
CREATE FUNCTION pl_json(pl_kind) RETURNS json LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RAISE EXCEPTION 'runs as %', current_user; END $$;
CREATE CAST (pl_kind AS json) WITH FUNCTION pl_json(pl_kind);
CREATE FUNCTION pl_number(pl_kind) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RAISE EXCEPTION 'runs as %', current_user; END $$;
CREATE CAST (pl_kind AS int) WITH FUNCTION pl_number(pl_kind);
CREATE FUNCTION pl_near(pl_kind, pl_kind) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RAISE EXCEPTION 'runs as %', current_user; END $$;
CREATE OPERATOR ~~~ (LEFTARG = pl_kind, RIGHTARG = pl_kind, FUNCTION = pl_near);
SELECT fraud.create_list('pl_kinds', 'kind', stream => 'pl_orders');
-- Each condition, as a rule: what of it is whose, and how it is kept.
CREATE TABLE pl_conditions (name text PRIMARY KEY, condition text);
INSERT INTO pl_conditions VALUES
    ('e01', $$kind = 'cash'$$), ('e02', $$kind IN ('cash', 'wire')$$), ('e03', $$kind NOT IN ('cash', 'wire')$$), ('e04', $$kind BETWEEN 'wire' AND 'cash'$$), ('e05', $$kind = ANY ('{cash,wire}')$$),
    ('e06', $$kind = ANY (ARRAY['cash', 'wire']::pl_kind[])$$), ('e07', $$kind = 'cash'::pl_kind$$), ('e08', $$kind = 'cash'::text::pl_kind$$), ('e09', $$kind::text LIKE 'ca%'$$), ('e10', $$kind IS NULL OR kind IS DISTINCT FROM 'card'$$),
    ('e11', $$CASE kind WHEN 'cash' THEN amount > 1 ELSE false END$$), ('e12', $$coalesce(kind, 'cash') = 'cash' AND nullif(kind, 'card') > 'wire' AND greatest(kind, 'wire') = 'cash'$$), ('e13', $$fraud.in_list('pl_kinds', kind)$$),
    ('e14', $$kinds @> '{cash}' AND 'wire' = ANY (kinds) AND kinds[1] = 'cash' AND kinds = ARRAY['cash', 'wire']::pl_kind[]$$), ('e15', $$kinds::text[] && '{cash,x}'$$), ('e16', $$(kind, amount) >= ('wire', 5)$$), ('e17', $$(kind, no) IN (('cash', 1), ('wire', 2))$$),
    ('e18', $$note::pl_kind = 'cash'$$), ('e19', $$enum_range(NULL, kind) @> '{cash}'$$), ('e20', $$way::pl_kind = 'wire' AND way::pl_kind IN ('wire', 'card') AND way::text <> 'card'$$),
    ('d01', $$country = 'FR'$$), ('d02', $$country IN ('FR', 'DE') AND country BETWEEN 'DE' AND 'FR' AND country = ANY ('{FR,DE}')$$), ('d03', $$country = 'FR'::pl_country$$), ('d04', $$country IN ('FR'::pl_country, 'DE'::pl_country)$$),
    ('d05', $$country = ANY ('{FR,DE}'::pl_country[]) AND country = ANY (ARRAY['FR', 'DE']::pl_country[])$$), ('d06', $$amount > 5::pl_cents AND amount BETWEEN '1.50' AND '99.999'::pl_cents$$), ('d07', $$code = 'abc'::pl_code$$),
    ('d08', $$'FR' = ANY (countries) AND countries::text[] @> '{FR}' AND countries[1] = 'FR'$$), ('d09', $$way::pl_kind = 'wire'::pl_way::pl_kind$$), ('d10', $$at > '2026-01-01'::timestamptz AND amount = '5'::numeric AND note = 'x'::varchar(3) AND at::date = ANY ('{2026-02-02,2026-02-03}'::date[])$$),
    -- What may run somebody's code.
    ('x01', $$to_json(kind) IS NOT NULL$$), ('x02', $$('x' || kind) = 'xcash'$$), ('x03', $$kind ~~~ 'cash'$$), ('x04', $$kind::int > 1$$), ('x05', $$array_to_json(kinds) IS NOT NULL$$), ('x06', $$json_build_array(kind) IS NOT NULL$$),
    ('x07', $$to_jsonb(ROW(kind)) IS NOT NULL$$), ('x08', $$note::pl_country = 'FR'$$), ('x09', $$pair = ROW(1, 'cash')::pl_pair$$), ('x10', $$array_append(kinds, kind) = kinds$$), ('x11', $$to_json(coalesce(kind, 'cash')) IS NOT NULL$$), ('x12', $$country::pl_code = 'abc'$$),
    ('x13', $$concat(kind) = 'cash'$$), ('x15', $$countries && '{FR}'$$), ('x16', $$countries && ARRAY['FR']::pl_country[]$$), ('x14', $$to_json(CASE WHEN amount > 1 THEN kinds[1] END) IS NULL$$);
DO $$
DECLARE
    c pl_conditions;
BEGIN
    FOR c IN SELECT * FROM pl_conditions ORDER BY name LOOP
        BEGIN
            PERFORM fraud.add_rule('pl_' || c.name, c.condition, 'review', stream => 'pl_orders');
        EXCEPTION WHEN OTHERS THEN
            RAISE WARNING '%: %', c.name, SQLERRM;
        END;
    END LOOP;
END
$$;
SELECT rule, plain, foreign_names, expression FROM fraud.rule_versions WHERE rule LIKE 'pl\_%' ORDER BY rule;
-- A constant that its domain does not have is refused when it is written.
SELECT fraud.add_rule('pl_no', $$country = 'France'::pl_country$$, 'tag', stream => 'pl_orders');
SELECT fraud.add_rule('pl_no', $$way::text = 'cash'::pl_way::text$$, 'tag', stream => 'pl_orders');
SELECT fraud.add_rule('pl_no', $$country = ANY ('{FR,France}'::pl_country[])$$, 'tag', stream => 'pl_orders');
SELECT fraud.add_rule('pl_no', $$way::text = NULL::pl_way::text$$, 'tag', stream => 'pl_orders');
-- Enforced by a second person, all that are plain and none of the others.
RESET ROLE;
SET fraud_detect.four_eyes = on;
SET ROLE plain_second;
SELECT fraud.enforce_rule('pl_e01', 'looked at');
SELECT fraud.enforce_rule('pl_d05', 'looked at');
SELECT fraud.enforce_rule('pl_x01', 'looked at');
RESET ROLE;
RESET fraud_detect.four_eyes;
-- And they come to what they say.
SELECT count(fraud.drop_rule('pl_x' || n, 'over')::text) FROM unnest('{01,02,03,04,05,06,07,08,09,10,11,12,13,14,15,16}'::text[]) n;
SELECT fraud.add_to_list('pl_kinds', 'cash', reason => 'tests');
INSERT INTO pl_orders VALUES (1, '2026-02-02', 5, 'cash', '{cash,wire}', 'FR', '{FR,DE}', 'abc', 'wire', NULL, 'cash'), (2, '2026-02-03', 7, 'card', '{card}', 'US', '{US}', 'xy', 'card', NULL, 'card');
SELECT d.event_id, d.decision, string_agg(substr(m.rule, 4), ' ' ORDER BY m.rule) FILTER (WHERE m.error IS NULL) AS matched, string_agg(m.rule || ': ' || m.error, '; ' ORDER BY m.rule) AS failed
FROM fraud.stream_decisions d LEFT JOIN fraud.stream_rule_matches m USING (stream, decision_id) WHERE d.stream = 'pl_orders' GROUP BY d.decision_id, d.event_id, d.decision ORDER BY d.decision_id;
-- What a domain comes to allow is no matter of a constant that it once let in; what an enum's owner makes of casts is none of a comparison's.
SET ROLE plain_owner;
CREATE FUNCTION pl_check(text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN IF $1 = 'FR' THEN RAISE EXCEPTION 'runs as %', current_user; END IF; RETURN true; END $$;
ALTER TABLE pl_orders ALTER country TYPE text, ALTER countries TYPE text[];
ALTER DOMAIN pl_country ADD CHECK (pl_check(VALUE));
CREATE FUNCTION pl_text(pl_kind) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RAISE EXCEPTION 'runs as %', current_user; END $$;
CREATE CAST (pl_kind AS text) WITH FUNCTION pl_text(pl_kind);
RESET ROLE;
\c -
\set SHOW_CONTEXT never
SET client_min_messages = warning;
INSERT INTO pl_orders VALUES (3, '2026-02-02', 5, 'cash', '{cash,wire}', 'FR', '{FR,DE}', 'abc', 'wire', NULL, 'cash');
SELECT d.event_id, d.decision, string_agg(substr(m.rule, 4), ' ' ORDER BY m.rule) FILTER (WHERE m.error IS NULL) AS matched, string_agg(m.rule || ': ' || m.error, '; ' ORDER BY m.rule) AS failed
FROM fraud.stream_decisions d LEFT JOIN fraud.stream_rule_matches m USING (stream, decision_id) WHERE d.stream = 'pl_orders' AND d.event_id = '3' GROUP BY d.decision_id, d.event_id, d.decision ORDER BY d.decision_id;
-- Others may backtest what is plain.
SET ROLE plain_second;
SELECT metric, value FROM fraud.backtest_rule('amount < 1', '2026-01-01', '2026-03-01', stream => 'pl_orders') WHERE metric = 'payments';
RESET ROLE;
SELECT count(fraud.drop_rule(rule, 'over')::text) FROM fraud.rules WHERE rule LIKE 'pl\_%';
SELECT fraud.drop_list('pl_kinds'), fraud.unwatch('pl_orders'), fraud.drop_feature_set('pl_orders');
DROP TABLE pl_orders, pl_conditions;
DROP OWNED BY plain_owner, plain_second CASCADE;
DROP ROLE plain_owner, plain_second;
