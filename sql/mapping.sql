\set SHOW_CONTEXT never
SET timezone = 'UTC';
SET datestyle = 'ISO';
-- Payments of other layouts (docs/sources.md).
CREATE VIEW mapped AS SELECT transaction_id, amount, merchant, category, occurred_at FROM fraud.transactions WHERE source = 'mapped';

-- A bank's envelope: nested, a cursor beside it, times with an offset.
SELECT transaction_id, status, error FROM fraud.ingest($$
{"status": "ok", "next": "abc", "data": {"count": 2, "transactions": [
  {"id": "bank-1", "bookedAt": "2024-10-28T17:58:04.025001+01:00", "amount": {"value": "60.16", "currency": "EUR"}, "merchant": {"name": "Kuhn", "mcc": 5411}, "card": {"pan": "4497913965512794052"}, "device": {"id": "d-1"}},
  {"id": "bank-2", "bookedAt": "2024-10-28T16:59:04Z", "amount": {"value": 12.5, "currency": "EUR"}, "merchant": {"name": "Berge", "mcc": 5999}, "card": {"pan": 4497913965512794052}, "device": {"id": "d-1"}}]}}$$,
  'mapped', '{"payments": "$.data.transactions[*]", "fields": {"transaction_id": "$.id", "occurred_at": "$.bookedAt", "amount": "$.amount.value", "merchant": "$.merchant.name", "category": "$.merchant.mcc", "cc_num": "$.card.pan"}}');
SELECT * FROM mapped ORDER BY occurred_at;

-- Every unit and zone of a time. Of the two 02:30 of a night in October the one of standard time; that of a night in
-- March, which there is not, by the offset before.
CREATE FUNCTION time_of(at jsonb, "time" jsonb) RETURNS text LANGUAGE sql AS $$
    SELECT coalesce(error, mapped ->> 'trans_date_trans_time') FROM fraud.preview_payments(
        jsonb_build_object('at', at, 'n', 't', 'm', 'M', 'c', '4497913965512794052', 'a', 1)::text, 'auto',
        jsonb_build_object('fields', jsonb_build_object('transaction_id', '$.n', 'merchant', '$.m', 'cc_num', '$.c', 'amount', '$.a',
            'occurred_at', jsonb_strip_nulls(jsonb_build_object('path', '$.at', 'time', $2)))))
$$;
SELECT t.at, t."time", time_of(t.at, t."time") FROM (VALUES
    ('"2024-10-28T17:58:04+01:00"'::jsonb, NULL::jsonb),
    ('"2024-10-28 17:58:04"', NULL),
    ('"2024-10-28 17:58:04"', '{"zone": "Europe/Paris"}'),
    ('"2024-10-28 17:58:04Z"', '{"zone": "Europe/Paris"}'),
    ('"2024-07-28 17:58:04.5"', '{"zone": "America/New_York"}'),
    ('"2024-10-27 02:30:00"', '{"zone": "Europe/Paris"}'),
    ('"2024-03-31 02:30:00"', '{"zone": "Europe/Paris"}'),
    ('1730134684', '"epoch_s"'),
    ('1730134684.025', '"epoch_s"'),
    ('"1730134684025"', '{"format": "epoch_ms"}'),
    ('1730134684025001', '"epoch_us"'),
    ('1730134684025', '"epoch_s"'),
    ('"28/10/2024 17:58:04"', '{"format": "%d/%m/%Y %H:%M:%S", "zone": "Europe/Paris"}'),
    ('"28/10/2024 17:58:04"', '{"format": "DD/MM/YYYY HH24:MI:SS"}'),
    ('"20241028T175804.25"', '{"format": "%Y%m%dT%H%M%S.%f"}'),
    ('"28-Oct-2024 05:58 PM"', '{"format": "%d-%b-%Y %I:%M %p"}'),
    ('"2024-10-28 17:58:04 +05:30"', '{"format": "YYYY-MM-DD HH24:MI:SS TZH:TZM"}'),
    ('"2024-10-28"', '{"format": "YYYY-MM-DD", "zone": "Europe/Paris"}'),
    ('"10/28/2024 17:58:04"', '{"format": "DD/MM/YYYY HH24:MI:SS"}'),
    ('"28/10/2024 17:58:04 or so"', '{"format": "DD/MM/YYYY HH24:MI:SS"}'),
    ('"2024-10-28 17:58:04"', '{"format": "DD/MM/YYYY HH24:MI:SS"}'),
    ('"28/10/1924 17:58:04"', '{"format": "DD/MM/YYYY HH24:MI:SS"}'),
    ('true', '"epoch_s"'),
    ('{"s": 1}', NULL)) t(at, "time");

-- Constants, maps, defaults, minor units, signs, decimals, attributes.
SELECT payment, mapped, left_over, error FROM fraud.preview_payments($$
[{"n": 1, "m": "M", "c": "4497913965512794052", "a": 1250, "ccy": "EUR", "t": "CARD_PURCHASE", "at": 1730134684, "d": {"id": "x", "os": "y"}},
 {"n": 2, "m": "M", "c": "4497913965512794052", "a": -1250, "ccy": "JPY", "t": "OTHER", "at": 1730134684, "of": 1}]$$, 'auto',
 '{"fields": {"transaction_id": "$.n", "merchant": "$.m", "card_number": "$.c", "amount": {"path": "$.a", "minor_units": true, "negative": "refund"}, "currency": "$.ccy", "reference": "$.of",
   "category": {"path": "$.t", "map": {"CARD_PURCHASE": "purchase"}, "default": "else"}, "occurred_at": {"path": "$.at", "time": "epoch_s"}, "city": {"value": "Paris"},
   "attributes.device_id": "$.d.id"}}');
SELECT mapped ->> 'amt' AS amt, mapped ->> 'kind' AS kind, error FROM fraud.preview_payments('{"a": "-1.234,50"}', 'auto', '{"fields": {"amount": {"path": "$.a", "decimal": ",", "negative": "payment"}}}');

-- PostgreSQL's jsonpath: what is no plain chain is evaluated by it, with the same result; numbers keep their digits, and
-- what jsonb has no place for is a fault of its own field.
CREATE TABLE bodies (body text);
INSERT INTO bodies VALUES
    ('{"v": "text", "w": 1}'), ('{"v": 12.50, "w": 1}'), ('{"v": 1e2, "w": 1}'), ('{"v": 4.497913965512794e+18, "w": 1}'), ('{"v": 4497913965512794052, "w": 1}'),
    ('{"v": NaN, "w": 1}'), ('{"v": 1e400, "w": 1}'), ('{"v": "a\ud800b", "w": 1}'), ('{"v": "a\u0000b", "w": 1}'), ('{"v": null, "w": 1}'), ('{"w": 1}'),
    ('{"v": {"x": [1, "\ud800", 1e5]}, "w": 1}'), ('{"v": [1, 2], "w": 1}'), ('{"v": true, "w": 1}'), ('{"v": "\"\\\u20ac", "w": 1}'), ('{"v": {"\u0001": 7}, "w": 1}');
SELECT b.body, p.error, p.mapped = q.mapped AS same_mapped, p.error IS NOT DISTINCT FROM replace(q.error, 'strict $.v', '$.v') AS same_error
FROM bodies b, fraud.preview_payments(b.body, 'auto', '{"fields": {"category": "$.v", "city": {"value": "c"}}}') p,
    fraud.preview_payments(b.body, 'auto', '{"fields": {"category": "strict $.v", "city": {"value": "c"}}}') q;
SELECT b.body, p.error, p.error IS NOT DISTINCT FROM replace(q.error, 'strict $.v', '$.v') AS same_error
FROM bodies b, fraud.preview_payments(b.body, 'auto', '{"fields": {"cc_num": "$.v"}}') p,
    fraud.preview_payments(b.body, 'auto', '{"fields": {"cc_num": "strict $.v"}}') q WHERE b.body ~ '"v"';
SELECT mapped, error FROM fraud.preview_payments('{"ids": [{"type": "a", "id": "1"}, {"type": "b", "id": "2"}], "qty": 3, "price": 1.5}', 'auto',
    '{"fields": {"transaction_id": "$.ids[*] ? (@.type == \"b\").id", "amount": "$.qty * $.price", "merchant": "$.ids.size()", "city": "strict $.nowhere", "state": "$.qty.keyvalue()"}}');

-- No path finds what must not be kept, by whatever asterisk or filter; nor is there a name for it.
SELECT mapped FROM fraud.preview_payments('{"id": "t", "card": {"cvv": "123", "brand": "visa"}, "extra": [{"name": "cvc", "value": "456"}, {"name": "os", "value": "linux"}]}', 'auto',
    '{"fields": {"transaction_id": "$.id", "job": "$.**.cvv", "city": "$.card.*", "state": "$.extra[*] ? (@.name == \"cvc\").value", "street": "$.extra[*] ? (@.name == \"os\").value"}}');
SELECT refused FROM fraud.preview_payments('{"id": "t"}', 'auto', '{"fields": {"attributes.cvv": "$.code"}}') refused;
-- A variable would find nothing, without a word.
SELECT fraud.preview_payments('{"id": "t"}', 'auto', '{"fields": {"transaction_id": "$id"}}');
SELECT fraud.preview_payments('{"id": "t"}', 'auto', '{"fields": {"transaction_id": "$.id ? (@ == $x)"}}');
SELECT mapped FROM fraud.preview_payments('{"$\"x": "t"}', 'auto', '{"fields": {"transaction_id": "strict $.\"$\\\"x\""}}');
-- strptime's %z is an offset with a colon or without, or Z; ISO 8601 may leave out the seconds.
SELECT t.at, time_of(t.at, '{"format": "%Y-%m-%dT%H:%M:%S%z"}') FROM (VALUES ('"2024-10-28T17:58:04+01:00"'::jsonb), ('"2024-10-28T17:58:04+0100"'), ('"2024-10-28T17:58:04-0530"'), ('"2024-10-28T17:58:04Z"'), ('"2024-10-28T17:58:04"')) t(at);
SELECT t.at, time_of(t.at, t."time") FROM (VALUES ('"2024-10-28T17:58Z"'::jsonb, NULL::jsonb), ('"2024-10-28T17:58+01:00"', NULL), ('"2024-10-28T17:58"', '{"zone": "Europe/Paris"}'), ('"2024-10-28 17:58"', NULL)) t(at, "time");
-- Our names behind another delimiter.
SELECT error, proposal FROM fraud.preview_payments(E'trans_num;cc_num;amt;merchant;unix_time\nt;4000000000000010;5;M;1730134684\n', 'csv');

-- For each field: whatever it is called, the row is the same.
CREATE TABLE flat (name text, value jsonb, field text);
INSERT INTO flat VALUES ('amt', '60.16', 'amount'), ('merchant', '"Berge"', 'merchant'), ('category', '"misc"', 'category'), ('first', '"A"', 'first_name'),
    ('last', '"B"', 'last_name'), ('gender', '"F"', 'gender'), ('street', '"S 1"', 'street'), ('city', '"C"', 'city'), ('state', '"NC"', 'state'), ('zip', '2837', 'zip'),
    ('lat', '34.6', 'latitude'), ('long', '-79.1', 'longitude'), ('city_pop', '14783', 'city_population'), ('job', '"J"', 'job'), ('dob', '"1955-11-07"', 'date_of_birth'),
    ('merch_lat', '34.3', 'merchant_latitude'), ('merch_long', '-78.6', 'merchant_longitude'), ('is_fraud', '1', 'is_fraud'), ('trans_num', '"same"', 'transaction_id');
SELECT status, error FROM fraud.ingest((SELECT jsonb_object_agg(name, value) || '{"cc_num": 4000000000000010, "current_time": 1730134684025}' FROM flat), 'flat');
SELECT status, error FROM fraud.ingest(
    (SELECT jsonb_build_object('o', jsonb_build_object('i', jsonb_object_agg('x' || name, value) || '{"pan": 4000000000000028, "at": 1730134684025}')) FROM flat), 'nested',
    (SELECT jsonb_build_object('fields', jsonb_object_agg(field, '$.o.i.x' || name) || '{"cc_num": "$.o.i.pan", "occurred_at": {"path": "$.o.i.at", "time": "epoch_ms"}}') FROM flat));
SELECT j.key, array_agg(j.value) FROM fraud.transactions t, jsonb_each(to_jsonb(t)) j WHERE transaction_id = 'same' AND source IN ('flat', 'nested')
GROUP BY j.key HAVING count(*) <> 2 OR count(DISTINCT j.value) > 1 AND j.key NOT IN ('card', 'source', 'received_at', 'features', 'score', 'label_known_at') ORDER BY 1;
SELECT count(*) AS customers, count(DISTINCT to_jsonb(c) - '{card,last_four}'::text[]) AS different FROM fraud.customers c WHERE last_name = 'B';
SELECT count(*) FROM fraud.labels WHERE transaction_id = 'same' AND is_fraud;

-- CSV: Kaggle's header as it is; quotes; a line that is broken is a dead letter by itself.
SELECT transaction_id, status, error FROM fraud.ingest(
E',trans_date_trans_time,cc_num,merchant,category,amt,first,last,gender,street,city,state,zip,lat,long,city_pop,job,dob,trans_num,unix_time,merch_lat,merch_long,is_fraud\r\n'
'0,2019-01-01 00:00:18,2703186189652095,"fraud_Rippin, Kub and Mann",misc_net,4.97,Jennifer,Banks,F,561 Perry Cove,Moravian Falls,NC,28654,36.0788,-81.1781,3495,"Psychologist, counselling",1988-03-09,0b242abb623afc578575680df30655b9,1325376018,36.011293,-82.048315,0\r\n'
'1,2019-01-01 00:00:44,630423337322,"open,misc_net\r\n'
'2,2019-01-01 00:00:51,38859492057661,"fraud_Lind-Buckridge",entertainment,220.11,Edward,Sanchez,M,594 White Dale Suite 530,Malad City,ID,83252,42.1808,-112.262,4154,Nature conservation officer,1962-01-19,a1a22d70485983eac12b5b88dad1cf95,1325376051,43.150704,-112.154481,0\r\n',
    'csv', format => 'csv');
SELECT transaction_id, amount, merchant, occurred_at FROM fraud.transactions WHERE source = 'csv' ORDER BY 1;
SELECT reason, convert_from(payload, 'UTF8') AS payload FROM fraud.ingest_errors WHERE source = 'csv';
SELECT transaction_id, status, error FROM fraud.ingest(E'Date;Ref;Payee;Sum;Card\n31/12/2024 10:00;r-1;"A ""B""; C";"1.234,50";4000000000000036\n',
    'csv', format => 'csv', mapping => '{"delimiter": ";", "fields": {"occurred_at": {"path": "$.Date", "time": {"format": "DD/MM/YYYY HH24:MI", "zone": "Europe/Berlin"}}, "transaction_id": "$.Ref", "merchant": "$.Payee", "amount": {"path": "$.Sum", "decimal": ","}, "cc_num": "$.Card"}}');
SELECT transaction_id, amount, merchant, occurred_at FROM fraud.transactions WHERE transaction_id = 'r-1' AND occurred_at > '2024-01-01';
SELECT transaction_id, status FROM fraud.ingest(E'r-2|4000000000000036|5|M|1735636000\n', 'csv', '{"delimiter": "|", "columns": ["trans_num", "cc_num", "amt", "merchant", "unix_time"]}', 'csv');

-- A dead letter holds the payment as it was mapped, and names the field and its path; it can be repaired and sent again.
SELECT status, error FROM fraud.ingest('[{"no": "letter-1", "sum": "much", "shop": "M", "at": "31/12/2024", "pan": "4497913965512794052", "note": "of 4497913965512794052"}]', 'letters',
    '{"fields": {"transaction_id": "$.no", "amount": "$.sum", "merchant": "$.shop", "occurred_at": {"path": "$.at", "time": {"format": "YYYY/MM/DD"}}, "cc_num": "$.pan"}}');
SELECT reason, convert_from(payload, 'UTF8') AS payload, last_four FROM fraud.ingest_errors WHERE source = 'letters';
SELECT r.* FROM fraud.ingest_errors e, fraud.retry_dead_letter(e.error_id, '{"amt": 5}') r WHERE source = 'letters';
SELECT r.outcome IN ('stored', 'received') AS sent, r.detail FROM fraud.ingest_errors e, fraud.retry_dead_letter(e.error_id, '{"amt": 5, "trans_date_trans_time": "2024-12-31 00:00:00"}') r WHERE source = 'letters';
SELECT count(*) FROM fraud.ingest_errors WHERE source = 'letters';

-- Of a customer that is no card, too; a repair that mends nothing says what is wrong still.
SELECT status, error FROM fraud.ingest('{"no": "letter-2", "sum": "much", "shop": "M", "at": "2024-12-31 00:00:00", "id": "tok-2"}', 'letters2',
    '{"fields": {"transaction_id": "$.no", "amount": "$.sum", "merchant": "$.shop", "occurred_at": "$.at", "customer": "$.id", "customer_kind": {"value": "token"}}}');
SELECT r.outcome, r.detail FROM fraud.ingest_errors e, fraud.retry_dead_letter(e.error_id, '{"amount": 5}') r WHERE source = 'letters2';
SELECT r.outcome IN ('stored', 'received') AS sent, r.detail FROM fraud.ingest_errors e, fraud.retry_dead_letter(e.error_id, '{"amt": 5}') r WHERE source = 'letters2';
SELECT status FROM fraud.ingest('{"trans_num": "letter-3", "customer_kind": "token", "amt": 5, "merchant": "M", "unix_time": 1735603200}'::text, 'letters2');
SELECT r.outcome, r.detail FROM fraud.ingest_errors e, fraud.retry_dead_letter(e.error_id, '{}') r WHERE source = 'letters2';
DELETE FROM fraud.ingest_errors WHERE source = 'letters2';

-- fraud.assess, too.
SELECT score BETWEEN 0 AND 1 AS scored FROM fraud.assess('{"no": "x", "sum": 5, "shop": "M", "card": "00000000-0000-0000-0000-000000000001"}',
    mapping => '{"fields": {"transaction_id": "$.no", "amount": "$.sum", "merchant": "$.shop", "card": "$.card"}}');
SELECT score FROM fraud.assess('{"no": "x", "sum": 5}', mapping => '{"fields": {"transaction_id": "$.no", "amount": "$.sum", "card": "$.card"}}');
SELECT score FROM fraud.assess(NULL);
SELECT count(*) FROM fraud.ingest(NULL::text);

-- An error says what is there, and what would fit.
SELECT fraud.ingest('{"status": "ok", "data": [{"id": "a", "amount": {"value": 5, "currency": "EUR"}, "created": "2024-10-28T16:58:04Z", "merchant": {"name": "M"}, "iban": "DE1"}], "next": null}');
SELECT fraud.ingest('{"rows": []}', mapping => '{"payments": "$.data[*]"}');
SELECT fraud.ingest(E'id,total\n1,2\n', format => 'csv');
SELECT fraud.ingest('x', format => 'xml');
SELECT payment, mapped, missing, left_over, error, proposal FROM fraud.preview_payments('{"status": "ok", "data": [{"id": "a", "amount": {"value": 5, "currency": "EUR"}, "created": "2024-10-28T16:58:04Z", "merchant": {"name": "M"}, "iban": "DE1"}], "next": null}');
-- What is proposed fits.
SELECT p.payment, p.mapped, p.left_over FROM fraud.preview_payments('{"data": [{"id": "a", "amount": 5, "created": "2024-10-28T16:58:04Z", "payee": "M", "card": {"pan": "4497913965512794052"}, "x": 1}]}') f,
    fraud.preview_payments('{"data": [{"id": "a", "amount": 5, "created": "2024-10-28T16:58:04Z", "payee": "M", "card": {"pan": "4497913965512794052"}, "x": 1}]}', 'auto', f.proposal) p;
-- Without a mapping, what no field takes.
SELECT payment, mapped, missing, left_over, error FROM fraud.preview_payments('{"cc_num": 4497913965512794052, "trans_num": "t", "amt": "x", "device": {"id": 1, "cvv": "123"}, "note": "of 4497913965512794052"}');
SELECT fraud.preview_payments(NULL);

-- A mapping that cannot be says why.
CREATE FUNCTION refused(mapping jsonb, format text DEFAULT 'auto') RETURNS void LANGUAGE plpgsql AS $$
DECLARE hint text; detail text;
BEGIN
    PERFORM fraud.preview_payments('{"amt": 1}', $2, $1);
    RAISE WARNING 'it was taken: %', $1;
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS hint = PG_EXCEPTION_HINT, detail = PG_EXCEPTION_DETAIL;
    RAISE NOTICE '% % % %', SQLSTATE, SQLERRM, detail, hint;
END $$;
SELECT refused(m) FROM (VALUES ('[]'::jsonb), ('{"field": {}}'), ('{"fields": []}'), ('{"fields": {"amonut": "$.a"}}'), ('{"fields": {"amount": 5}}'), ('{"fields": {"amount": {"pfad": "$"}}}'),
    ('{"fields": {"amount": "a.b"}}'), ('{"fields": {"amount": "$.a", "amt": "$.b"}}'), ('{"fields": {"amount": {}}}'), ('{"fields": {"amount": {"path": "$.a", "value": 1}}}'),
    ('{"fields": {"job": "$.card.cvv"}}'), ('{"fields": {"amount": {"path": "$.a", "time": "epoch_s"}}}'), ('{"fields": {"occurred_at": {"path": "$.a", "time": "often"}}}'),
    ('{"fields": {"occurred_at": {"path": "$.a", "time": "%Q"}}}'), ('{"fields": {"occurred_at": {"path": "$.a", "time": {"zone": "Middle/Earth"}}}}'),
    ('{"fields": {"occurred_at": {"path": "$.a", "time": {"format": "epoch_s", "zone": "UTC"}}}}'), ('{"fields": {"city": {"path": "$.a", "minor_units": true}}}'),
    ('{"fields": {"amount": {"path": "$.a", "negative": "maybe"}}}'), ('{"payments": "$.a[*] ? (@.b > 1)"}'), ('{"payments": 5}'), ('{"delimiter": ";"}')) v(m);
SELECT refused('{"payments": "$.a"}', 'csv'), refused('{"delimiter": ";;"}', 'csv'), refused('{"columns": "a"}', 'csv');

-- Sources: a mapping is checked, shown in the audit log, changed and taken out.
SELECT fraud.add_source('mapped', 'http://127.0.0.1:1/', poll_interval => '1 day', mapping => '{"payments": "$.data[*]", "fields": {"amonut": "$.a"}}');
SELECT fraud.add_source('mapped', 'http://127.0.0.1:1/', poll_interval => '1 day', format => 'csv', mapping => '{"payments": "$.data[*]"}');
SELECT fraud.add_source('mapped', 'http://127.0.0.1:1/', poll_interval => '1 day', mapping => '{"payments": "$.data[*]", "fields": {"amount": "$.a"}}');
SELECT fraud.pause_source('mapped');
SELECT mapping FROM fraud.sources WHERE name = 'mapped';
SELECT fraud.alter_source('mapped', format => 'csv');
SELECT fraud.alter_source('mapped', format => 'csv', mapping => '{"delimiter": ";"}');
SELECT format, mapping FROM fraud.sources WHERE name = 'mapped';
SELECT fraud.alter_source('mapped', reset => '{mapping}');
SELECT format, mapping FROM fraud.sources WHERE name = 'mapped';
SELECT action, old -> 'mapping' AS before, new -> 'mapping' AS after FROM fraud.audit_log WHERE object_name = 'mapped' AND action IN ('add', 'alter') ORDER BY at;
SELECT fraud.preview_source('nix');
SELECT fraud.preview_source(NULL);
SELECT payment, mapped, split_part(error, ':', 1) AS error FROM fraud.preview_source('mapped');
SELECT fraud.drop_source('mapped');
DROP TABLE bodies, flat;
DROP FUNCTION refused, time_of;
DROP VIEW mapped;
-- Lists within lists, and what stands around the payments.
SELECT transaction_id, status, error FROM fraud.ingest('{"accounts": [{"iban": "DE89370400440532013000", "currency": "JPY", "rows": [{"id": "env-1", "sum": 500, "at": "2025-01-01T00:00:00Z", "shop": "S"}]},
    {"iban": "GB33BUKB20201555555555", "rows": [{"id": "env-2", "sum": 7, "at": "2025-01-01T00:00:00Z", "shop": "S", "note": 1}]}], "bank": {"city": "Ulm"}}'::text,
    mapping => '{"payments": "$.accounts[*].rows[*]", "fields": {"customer": {"path": "$.accounts[*].iban", "from": "envelope"}, "customer_kind": {"value": "iban"},
        "city": {"path": "$.bank.city", "from": "envelope"}, "currency": {"path": "$.accounts[*].currency", "from": "envelope", "default": "USD"},
        "trans_num": "$.id", "amount": "$.sum", "merchant": "$.shop", "occurred_at": "$.at"}}');
SELECT t.transaction_id, c.customer_kind, c.last_four, c.city, t.currency, t.amount, t.attributes FROM fraud.transactions t JOIN fraud.customers c ON c.card = t.card WHERE t.transaction_id ~ '^env-' ORDER BY 1;
SELECT * FROM fraud.ingest('{}'::text, mapping => '{"payments": "$.rows[*]", "fields": {"amount": {"path": "$.rows[*].sum", "from": "envelope"}}}');
SELECT * FROM fraud.ingest('{}'::text, mapping => '{"fields": {"amount": {"path": "$.sum", "from": "envelope"}}}');
SELECT * FROM fraud.ingest('{}'::text, mapping => '{"payments": "$.rows[*]", "fields": {"amount": {"path": "$.a[*].sum", "from": "envelope"}}}');
SELECT * FROM fraud.ingest('{}'::text, mapping => '{"payments": "$.rows[*]", "fields": {"amount": {"path": "$.a ? (@ > 1)", "from": "envelope"}}}');
SELECT * FROM fraud.ingest('{}'::text, mapping => '{"payments": "$.rows[*]", "fields": {"amount": {"path": "$.a", "from": "body"}}}');
-- What is proposed of a body fits it, when it is given back: payments in rows, by their ids, in envelopes, and their times and amounts as they are written elsewhere.
CREATE FUNCTION back(body text, format text, OUT fits bigint, OUT faults text, OUT payments text, OUT columns text, OUT amt jsonb, OUT id text, OUT "when" jsonb, OUT mapped_amt text, OUT mapped_when text) LANGUAGE plpgsql AS $$
DECLARE
    proposed jsonb;
BEGIN
    SELECT p.proposal INTO proposed FROM fraud.preview_payments(body, format) p LIMIT 1;
    SELECT count(*) FILTER (WHERE p.error IS NULL AND p.missing = '{}'), string_agg(concat_ws(' ', p.error, 'missing ' || nullif(p.missing, '{}')::text), '; ' ORDER BY p.payment) FILTER (WHERE p.error IS NOT NULL OR p.missing <> '{}'),
           max(p.mapped ->> 'amt'), max(p.mapped ->> 'trans_date_trans_time'), proposed ->> 'payments', proposed ->> 'columns', proposed -> 'fields' -> 'amt', proposed -> 'fields' ->> 'trans_num', proposed -> 'fields' -> 'trans_date_trans_time'
    INTO fits, faults, mapped_amt, mapped_when, payments, columns, amt, id, "when" FROM fraud.preview_payments(body, format, proposed) p;
END $$;
CREATE TEMPORARY TABLE one AS SELECT '{"id": "t1", "amount": 12.5, "currency": "EUR", "created_at": "2026-01-02T03:04:05Z", "merchant_name": "Shop", "customer_id": "c1"}'::jsonb AS p;
CREATE TEMPORARY TABLE around (place int, name text, format text, body text);
INSERT INTO around SELECT v.* FROM one, LATERAL (VALUES
    (1, 'rows and columns', 'auto', '{"columns": ["id", "amount", "currency", "created_at", "merchant_name", "customer_id"], "rows": [["t1", 12.5, "EUR", "2026-01-02T03:04:05Z", "Shop", "c1"]]}'),
    (2, 'columns that are objects', 'auto', '{"result": {"fields": [{"name": "id"}, {"name": "amount"}, {"name": "created_at"}, {"name": "merchant_name"}, {"name": "customer_id"}], "values": [["t1", 12.5, "2026-01-02T03:04:05Z", "Shop", "c1"]]}}'),
    (3, 'by their ids', 'auto', jsonb_build_object('transactions', jsonb_build_object('tx_1', p - 'id', 'tx_2', p - 'id'))::text),
    (4, 'by keys, with ids', 'auto', jsonb_build_object('a', p, 'b', p)::text),
    (5, 'wrapped', 'auto', jsonb_build_object('data', jsonb_build_object('edges', jsonb_build_array(jsonb_build_object('node', p, 'cursor', 'x'))))::text),
    (6, 'lists in a list', 'auto', jsonb_build_object('accounts', jsonb_build_array(jsonb_build_object('iban', 'DE89370400440532013000', 'rows', jsonb_build_array(p - 'customer_id'))))::text),
    (7, 'lines behind a mark of the byte order', 'auto', U&'\FEFF' || p::text || E'\n' || p::text),
    (8, 'CSV behind one', 'csv', U&'\FEFF' || E'id;amount;created_at;merchant_name;customer_id\r\nt1;12,5;02.01.2026 03:04;Shop;c1\r\n'),
    (9, 'a first payment without a time', 'auto', jsonb_build_array(p || '{"created_at": null}', p)::text)) v;
INSERT INTO around SELECT 100 + v.n, v.amount, 'auto', (p || jsonb_build_object('amount', v.amount))::text FROM one, unnest('{"1,234.50","1.234,50","12,5","1,234","1.234.567","+12.50","1 234,50"}'::text[]) WITH ORDINALITY v(amount, n);
INSERT INTO around SELECT 200 + v.n, v.at, 'auto', (p || jsonb_build_object('created_at', v.at))::text
    FROM one, unnest('{2026-01-02 03:04:05 +0100,2026-01-02 03:04:05+01:00,"Fri, 02 Jan 2026 03:04:05 GMT","Fri, 02 Jan 2026 03:04:05 -0100",20260102030405,20260102T030405Z,01/02/2026 03:04:05 PM,02.01.26 03:04,25/01/2026}'::text[]) WITH ORDINALITY v(at, n);
INSERT INTO around SELECT 300, 'date and time', 'auto', (p - 'created_at' || '{"date": "02.01.2026", "time": "03:04"}')::text FROM one UNION ALL SELECT 301, 'months and days', 'auto', jsonb_build_array(p || '{"created_at": "02/01/2026"}', p || '{"created_at": "01/25/2026"}')::text FROM one;
SELECT a.name, b.fits, b.faults, b.payments, b.columns, b.id FROM around a, back(a.body, a.format) b WHERE a.place < 100 ORDER BY a.place;
SELECT a.name, b.fits, b.amt ->> 'decimal' AS decimal, b.mapped_amt FROM around a, back(a.body, a.format) b WHERE a.place BETWEEN 100 AND 199 ORDER BY a.place;
SELECT a.name, b.fits, b."when" -> 'path' AS path, b."when" -> 'time' AS time, b.mapped_when FROM around a, back(a.body, a.format) b WHERE a.place >= 200 ORDER BY a.place;
DROP FUNCTION back;
-- Payments that are arrays: by places, and by columns that are named; what is left over of the first has no name, and is not kept.
SELECT transaction_id, status, error FROM fraud.ingest('{"rows": [["row-1", "12.50", "M", 1735689600, "123"], ["row-2"]]}'::text,
    mapping => '{"payments": "$.rows[*]", "fields": {"trans_num": "$[0]", "amt": "$[1]", "merchant": "$[2]", "occurred_at": {"path": "$[3]", "time": "epoch_s"}, "customer": {"value": "r"}, "customer_kind": {"value": "account"}}}');
SELECT transaction_id, status, error FROM fraud.ingest('{"rows": [["row-3", "12.50", "M", 1735689600, "123", "d1"], ["row-4"]]}'::text,
    mapping => '{"payments": "$.rows[*]", "columns": ["id", "amount", "shop", "at", "cvv", "device"], "fields": {"trans_num": "$.id", "amt": "$.amount", "merchant": "$.shop", "occurred_at": {"path": "$.at", "time": "epoch_s"}, "customer": {"value": "r"}, "customer_kind": {"value": "account"}}}');
SELECT transaction_id, amount, attributes FROM fraud.transactions WHERE transaction_id ~ '^row-' ORDER BY 1;
SELECT payment, mapped, error FROM fraud.preview_payments('{"rows": [["row-5", 1]]}', 'auto', '{"payments": "$.rows[*]", "columns": "$.names", "fields": {"trans_num": "$.id"}}');
SELECT transaction_id, status, error FROM fraud.ingest('{"by_id": {"key-1": {"sum": 1, "at": 1735689600}, "key-2": {"sum": "x", "at": 1735689600}, "key-3": {"sum": 3, "at": 1735689600}}, "next": null}'::text,
    mapping => '{"payments": "$.by_id.*", "fields": {"trans_num": {"from": "key"}, "amt": "$.sum", "merchant": {"value": "M"}, "occurred_at": {"path": "$.at", "time": "epoch_s"}, "customer": {"value": "r"}, "customer_kind": {"value": "account"}}}');
SELECT payment, error FROM fraud.preview_payments('{"by_id": {"a": {"id": 1}, "b": {"id": 2', 'auto', '{"payments": "$.by_id.*", "fields": {"trans_num": "$.id"}}');
SELECT b, v.payment, v.error FROM unnest('{"{\"by_id\": [1]}","{\"by_id\": {}}","{\"by_id\": null}"}'::text[]) b, fraud.preview_payments(b, 'auto', '{"payments": "$.by_id.*", "fields": {"trans_num": "$.id"}}') v;
-- Of lists within lists one that is not there is empty, one of another kind is a dead letter, and what is cut off costs none before it.
SELECT payment, split_part(error, ':', 1) AS error FROM fraud.preview_payments('{"accounts": [{"rows": [{"id": 1}, {"id": 2}]}, {"x": 1}, {"rows": 5}, {"rows": [{"id": 3}]}]}', 'auto', '{"payments": "$.accounts[*].rows[*]", "fields": {"trans_num": "$.id"}}');
SELECT payment, split_part(error, ':', 1) AS error FROM fraud.preview_payments('{"accounts": [{"rows": [{"id": 1}, {"id": 2}]}, {"x": 1', 'auto', '{"payments": "$.accounts[*].rows[*]", "fields": {"trans_num": "$.id"}}');
SELECT payment, error FROM fraud.preview_payments('{"accounts": [{"x": 1}, {"y": 2}]}', 'auto', '{"payments": "$.accounts[*].rows[*]", "fields": {"trans_num": "$.id"}}');
SELECT * FROM fraud.ingest('{}'::text, mapping => '{"fields": {"trans_num": {"from": "key"}}}');
SELECT * FROM fraud.ingest('{}'::text, mapping => '{"payments": "$.a.*", "fields": {"trans_num": {"from": "key", "path": "$.b"}}}');
SELECT * FROM fraud.ingest('{}'::text, mapping => '{"payments": "$.a[*]", "columns": "$.a[*].b", "fields": {"trans_num": "$.b"}}');
SELECT * FROM fraud.ingest('{}'::text, mapping => '{"payments": "$.a[*]", "columns": 5}');
SELECT * FROM fraud.ingest('{}'::text, mapping => '{"fields": {"occurred_at": {"path": ["$.date"]}}}');
SELECT * FROM fraud.ingest('{}'::text, mapping => '{"fields": {"occurred_at": {"path": ["$.date", "$.** ? (@ > 1)"]}}}');
SELECT * FROM fraud.ingest('{}'::text, mapping => '{"fields": {"job": {"path": ["$.date", "$.card.cvv"]}}}');
-- A condition that compares each value with each other, which nothing can interrupt, is not tried on many.
SELECT payment, mapped - 'attributes' AS mapped, error FROM fraud.preview_payments(jsonb_build_object('a', ARRAY(SELECT generate_series(1, 20000)), 'b', ARRAY(SELECT generate_series(-20000, -1)))::text, 'auto',
    '{"fields": {"city": "$ ? (@.a[*] == $.b[*])", "state": "$.a == $.b", "attributes": {"value": {}}}}') p;
SELECT mapped FROM fraud.preview_payments('{"id": "i", "main": 2, "items": [{"no": 1, "x": "a"}, {"no": 2, "x": "b"}]}', 'auto', '{"fields": {"category": "$.items[*] ? (@.no == $.main).x"}}');
