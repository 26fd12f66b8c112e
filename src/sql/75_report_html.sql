-- fraud.report_html: a day as one page that needs nothing from outside. Small
-- functions, one a chart or section; each text that comes from data goes through
-- fraud._html().

CREATE FUNCTION fraud._html(value text) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT replace(replace(replace(replace(replace(value,
        '&', '&amp;'), '<', '&lt;'), '>', '&gt;'), '"', '&quot;'), '''', '&#39;');
END;
COMMENT ON FUNCTION fraud._html(text) IS 'internal: a text as it must stand in HTML';

CREATE FUNCTION fraud._number(value numeric, decimals int DEFAULT 0) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT coalesce(to_char(value, 'FM999,999,999,999,990' || CASE WHEN decimals > 0 THEN '.' || repeat('0', decimals) ELSE '' END), '–');
END;
COMMENT ON FUNCTION fraud._number(numeric, int) IS 'internal: a number with thousands set apart, for people';

CREATE FUNCTION fraud._percent(value numeric) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC SELECT coalesce(fraud._number(value * 100, 1) || ' %', '–'); END;
COMMENT ON FUNCTION fraud._percent(numeric) IS 'internal: a share as a percentage';

-- A headline figure, with what it was a week before.
CREATE FUNCTION fraud._html_tile(title text, figure text, value numeric, before numeric) RETURNS text
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT format('<div class="tile"><div class="name">%s</div><div class="figure">%s</div><div class="change">%s</div></div>',
        fraud._html(title), fraud._html(figure),
        CASE
            WHEN before IS NULL THEN 'no day a week before'
            WHEN value = before THEN 'as a week before'
            WHEN before = 0 THEN 'none a week before'
            ELSE format('%s %s %% on a week before', CASE WHEN value > before THEN '▲' ELSE '▼' END,
                        fraud._number(abs(value - before) / abs(before) * 100, 1))
        END);
END;
COMMENT ON FUNCTION fraud._html_tile(text, text, numeric, numeric) IS 'internal: a headline figure of the report';

-- The step of an axis that has about four: 1, 2 or 5 times a power of ten.
CREATE FUNCTION fraud._axis_step(greatest_value numeric) RETURNS numeric
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT trim_scale(greatest(1, min(p.power * f.factor)))
    FROM (SELECT 10::numeric ^ floor(log(greatest(greatest_value, 1) / 4)) AS power) p, (VALUES (1), (2), (5), (10)) f(factor)
    WHERE p.power * f.factor >= greatest(greatest_value, 1) / 4;
END;
COMMENT ON FUNCTION fraud._axis_step(numeric) IS 'internal: how far apart the lines of a chart are';

-- Columns, or two series stacked. Every n-th label is shown, so that none touch.
CREATE FUNCTION fraud._svg_columns(title text, unit text, labels text[], names text[], lower_values numeric[], upper_values numeric[] DEFAULT NULL)
RETURNS text
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    WITH bar AS (
        SELECT i, l AS label, coalesce(a, 0) AS low, coalesce(b, 0) AS high
        FROM unnest(labels, lower_values, upper_values) WITH ORDINALITY u(l, a, b, i)
    ), axis AS (
        SELECT greatest(max(low + high), 0) AS most, fraud._axis_step(max(low + high)) AS step, count(*) AS n,
               464.0 / greatest(count(*), 1) AS width
        FROM bar
    ), scale AS (
        SELECT a.*, greatest(ceil(a.most / a.step), 1) * a.step AS top FROM axis a
    )
    SELECT format('<figure><figcaption>%s <span class="unit">%s</span>%s</figcaption>'
                  '<svg viewBox="0 0 520 200" role="img" aria-label="%s">',
                  fraud._html(title), fraud._html(unit),
                  CASE WHEN cardinality(names) > 1 THEN
                      (SELECT string_agg(format('<span class="key s%s">%s</span>', k, fraud._html(m)), '' ORDER BY k)
                       FROM unnest(names) WITH ORDINALITY m(m, k)) ELSE '' END,
                  fraud._html(title || ', ' || unit))
        || (SELECT string_agg(format('<line class="grid" x1="50" x2="516" y1="%1$s" y2="%1$s"/><text class="tick" x="44" y="%2$s" text-anchor="end">%3$s</text>',
                                     round(168 - t * 156 / s.top, 1), round(172 - t * 156 / s.top, 1), fraud._number(t)), '')
            FROM scale s, generate_series(0, s.top, s.step) t)
        || coalesce((SELECT string_agg(
               format('<g><title>%s: %s</title>', fraud._html(b.label),
                      CASE WHEN upper_values IS NULL THEN fraud._number(b.low)
                           ELSE format('%s %s, %s %s', fraud._number(b.low), fraud._html(names[1]), fraud._number(b.high), fraud._html(names[2])) END)
               || format('<rect class="s1" x="%s" y="%s" width="%s" height="%s"/>',
                         round(51 + (b.i - 1) * s.width + s.width * 0.12, 1), round(168 - b.low * 156 / s.top, 1),
                         round(s.width * 0.76, 1), round(b.low * 156 / s.top, 1))
               || CASE WHEN b.high > 0 THEN format('<rect class="s2" x="%s" y="%s" width="%s" height="%s"/>',
                         round(51 + (b.i - 1) * s.width + s.width * 0.12, 1), round(168 - (b.low + b.high) * 156 / s.top, 1),
                         round(s.width * 0.76, 1), round(b.high * 156 / s.top, 1)) ELSE '' END
               || CASE WHEN (b.i - 1) % ceil(s.n / 12.0)::int = 0 THEN
                    format('<text class="tick" x="%s" y="188" text-anchor="middle">%s</text>',
                           round(51 + (b.i - 0.5) * s.width, 1), fraud._html(b.label)) ELSE '' END
               || '</g>', '' ORDER BY b.i)
            FROM bar b, scale s), '')
        || CASE WHEN (SELECT most FROM axis) = 0
                THEN '<text class="empty" x="284" y="90" text-anchor="middle">none this day</text>' ELSE '' END
        || '</svg></figure>';
END;
COMMENT ON FUNCTION fraud._svg_columns(text, text, text[], text[], numeric[], numeric[]) IS 'internal: a column chart';

-- Bars that lie, in a table: a name of any length or script, and numbers of any size,
-- stay in their columns.
CREATE FUNCTION fraud._html_risk_bars(title text, labels text[], expected numeric[], alerts numeric[], payments numeric[], alerted_volume numeric[])
RETURNS text
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT format('<figure><figcaption>%s <span class="unit">expected number of frauds</span></figcaption>', fraud._html(title))
        || CASE WHEN coalesce(cardinality(labels), 0) = 0 THEN '<p class="empty">none this day</p>'
           ELSE '<table class="bars"><thead><tr><th></th><th class="n" colspan="2">Expected</th><th class="n">Alerts</th><th class="n">Payments</th><th class="n">Alerted volume</th></tr></thead><tbody>'
             || (SELECT string_agg(format('<tr><td class="name" title="%1$s">%1$s</td><td class="bar"><svg viewBox="0 0 100 14" preserveAspectRatio="none" role="img" aria-label="%2$s">'
                                          '<rect class="s1" x="0" y="0" width="%3$s" height="14"/></svg></td>'
                                          '<td class="n">%2$s</td><td class="n">%4$s</td><td class="n">%5$s</td><td class="n">%6$s</td></tr>',
                                          fraud._html(b.label), fraud._number(b.expected, 2), round(greatest(coalesce(b.size, 0), 1), 1),
                                          fraud._number(b.alerts), fraud._number(b.payments), fraud._number(b.volume, 2)), '' ORDER BY b.i)
                 FROM (SELECT u.*, u.expected * 100 / nullif(max(u.expected) OVER (), 0) AS size
                       FROM unnest(labels, expected, alerts, payments, alerted_volume)
                            WITH ORDINALITY u(label, expected, alerts, payments, volume, i)) b)
             || '</tbody></table>' END
        || '</figure>';
END;
COMMENT ON FUNCTION fraud._html_risk_bars(text, text[], numeric[], numeric[], numeric[], numeric[]) IS 'internal: a bar chart of where the risk is';

-- A cell that knows its column: on a phone rows are shown as lists of these.
CREATE FUNCTION fraud._html_cell(name text, class text, html text) RETURNS text
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC SELECT format('<td data-name="%s" class="%s"><div>%s</div></td>', name, class, coalesce(html, '–')); END;
COMMENT ON FUNCTION fraud._html_cell(text, text, text) IS 'internal: a cell of a table that folds; the text is HTML already';

CREATE FUNCTION fraud._html_columns(names text[]) RETURNS text
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    -- Numbers stand at the right, as their cells do.
    SELECT '<table class="fold"><thead><tr>' || string_agg(CASE WHEN n.name LIKE '#%' THEN '<th class="n">' ELSE '<th>' END || ltrim(n.name, '#') || '</th>', '' ORDER BY n.place)
        || '</tr></thead><tbody>'
    FROM unnest(names) WITH ORDINALITY n(name, place);
END;
COMMENT ON FUNCTION fraud._html_columns(text[]) IS 'internal: the head of a table that folds; # before a column of numbers';

-- On a phone each row of a table that folds is a list of its cells, and charts keep letters that can be read.
CREATE FUNCTION fraud._html_head(title text) RETURNS text
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark">'
        '<title>' || fraud._html(title) || '</title><style>'
        ':root{--ink:#1c2330;--dim:#5c6675;--line:#dde1e7;--paper:#fff;--card:#f5f7f9;--one:#2f6db5;--two:#c8442e;--good:#1d7f4f;--warn:#946300;--bad:#b3261e}'
        '@media (prefers-color-scheme:dark){:root{--ink:#e6e9ee;--dim:#a0a9b6;--line:#343b46;--paper:#14181e;--card:#1e242c;--one:#6aa5e8;--two:#f0806a;--good:#5fc694;--warn:#e0b050;--bad:#f28b82}}'
        '*{box-sizing:border-box}body{margin:0 auto;padding:24px;max-width:1080px;background:var(--paper);color:var(--ink);font:15px/1.45 system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",Arial,sans-serif}'
        'h1{font-size:26px;margin:0 0 4px}h2{font-size:18px;margin:32px 0 12px;padding-bottom:4px;border-bottom:1px solid var(--line)}p{margin:4px 0}.dim,.unit,.change{color:var(--dim)}'
        '.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(210px,1fr));gap:12px;margin-top:20px}.tile{background:var(--card);border-radius:8px;padding:12px 14px}'
        '.tile .name{color:var(--dim);font-size:13px}.tile .figure{font-size:24px;font-weight:600;white-space:nowrap}.tile .change{font-size:12px}'
        '.pair{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(440px,100%),1fr));gap:16px 24px}figure{margin:0 0 12px;min-width:0}figcaption{font-weight:600;margin-bottom:4px}.unit{font-weight:400}'
        '.key{font-weight:400;font-size:13px;margin-left:14px;white-space:nowrap}.key:before{content:"";display:inline-block;width:10px;height:10px;margin-right:5px;background:currentColor}.key.s1{color:var(--one)}.key.s2{color:var(--two)}'
        'svg{display:block;width:100%;height:auto}svg text{font:12px system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",Arial,sans-serif;fill:var(--ink)}svg .tick,svg .note,svg .empty{fill:var(--dim)}'
        'rect.s1{fill:var(--one)}rect.s2{fill:var(--two)}rect.base,circle.past{fill:var(--dim);opacity:.55}circle.review{fill:var(--warn)}circle.block{fill:var(--bad)}circle.fraud{fill:var(--paper);stroke:var(--bad);stroke-width:2.5}'
        '.key.past{color:var(--dim)}.key.review,.review{color:var(--warn)}.key.block{color:var(--bad)}.key.fraud{color:var(--bad)}.key.fraud:before{background:none;border:2px solid currentColor;border-radius:50%}a{color:var(--one)}.grid{stroke:var(--line)}p.empty{color:var(--dim)}'
        '.scroll{overflow-x:auto}tr.mark td{background:var(--card)}td.w{overflow-wrap:anywhere}td.wide{min-width:250px}.tiles.facts{grid-template-columns:repeat(auto-fit,minmax(150px,1fr))}table.waterfall{max-width:820px}table.bars.waterfall td.name{max-width:none;white-space:normal;width:52%}tfoot td{font-weight:600}table{border-collapse:collapse;width:100%;font-size:14px}th{text-align:left;color:var(--dim);font-weight:500}th,td{padding:6px 10px 6px 0;border-bottom:1px solid var(--line);vertical-align:top}'
        'td.n,th.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}td.t{white-space:nowrap}table.bars{font-size:13px}table.bars td,table.bars th{padding:3px 10px 3px 0;border:0;vertical-align:middle}table.bars td.name{max-width:150px;overflow:hidden;text-overflow:ellipsis;white-space:nowrap}table.bars td.bar{width:30%;min-width:60px}table.bars svg{height:14px}.ok{color:var(--good)}.warning{color:var(--warn)}.error,.block{color:var(--bad)}ul{margin:0;padding-left:16px}'
        '@media screen and (max-width:640px){body{padding:14px}h1{font-size:21px}.tiles,.tiles.facts{grid-template-columns:repeat(2,minmax(0,1fr));gap:8px}.tile{padding:9px 10px}.tile .figure{font-size:18px;white-space:normal;overflow-wrap:anywhere}'
        'svg text{font-size:16px}table.bars td,table.bars th{padding-right:6px}table.bars th.n{white-space:normal}table.bars td.name{max-width:92px}table.bars td.bar{width:14%;min-width:28px}table.bars.waterfall td.bar{width:32%}'
        'table.fold thead{display:none}table.fold tr{display:block;padding:8px 0;border-bottom:1px solid var(--line)}table.fold td{display:flex;gap:12px;padding:2px 0;border:0;text-align:left;white-space:normal}'
        'table.fold td:before{content:attr(data-name);flex:0 0 88px;color:var(--dim)}table.fold td>div{min-width:0;overflow-wrap:anywhere}table.fold tr.mark{background:var(--card);margin:0 -8px;padding:8px}}'
        '@page{size:A4;margin:14mm}'
        '@media print{:root{--ink:#000;--dim:#444;--line:#bbb;--paper:#fff;--card:#fff;--one:#2f6db5;--two:#c8442e;--good:#1d7f4f;--warn:#946300;--bad:#b3261e}body{padding:0;max-width:none;font-size:10pt}.tiles{grid-template-columns:repeat(4,1fr)}.tiles.facts{grid-template-columns:repeat(5,1fr)}td.wide{min-width:0}.pair{grid-template-columns:1fr 1fr}.scroll{overflow:visible}table{font-size:8.5pt}.tile{border:1px solid var(--line)}'
        '*{print-color-adjust:exact;-webkit-print-color-adjust:exact}figure,tr,.tile{break-inside:avoid}h2{break-after:avoid}}'
        '</style></head><body>';
END;
COMMENT ON FUNCTION fraud._html_head(text) IS 'internal: the head of the report, with its style';

CREATE FUNCTION fraud._html_headline(day date) RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT '<div class="tiles">'
        || fraud._html_tile('Payments', fraud._number(d.payments), d.payments, w.payments)
        || fraud._html_tile('Volume', fraud._number(d.volume, 2), d.volume, w.volume)
        || fraud._html_tile('Customers', fraud._number(d.customers), d.customers, w.customers)
        || fraud._html_tile('Alerts', fraud._number(d.alerts), d.alerts, w.alerts)
        || fraud._html_tile('Alerted volume', fraud._number(d.alerted_volume, 2), d.alerted_volume, w.alerted_volume)
        || fraud._html_tile('Blocked payments', fraud._number(d.blocked), d.blocked, w.blocked)
        || fraud._html_tile('Known fraud', fraud._number(d.labelled_fraud), d.labelled_fraud, w.labelled_fraud)
        || fraud._html_tile('Known fraud, volume', fraud._number(d.labelled_fraud_volume, 2), d.labelled_fraud_volume, w.labelled_fraud_volume)
        || '</div>'
    FROM fraud._figures(ARRAY[_html_headline.day]) d
    LEFT JOIN fraud.daily_report w ON w.day = _html_headline.day - 7;
END;
COMMENT ON FUNCTION fraud._html_headline(date) IS 'internal: the report''s figures against those of the week before';

CREATE FUNCTION fraud._html_hours(day date) RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    WITH hour AS (
        SELECT to_char(h.hour AT TIME ZONE z.zone, 'HH24') AS label, h.hour,
               coalesce(a.payments, 0) AS payments, coalesce(a.reviewed, 0) AS reviewed, coalesce(a.blocked, 0) AS blocked
        FROM (SELECT fraud.report_timezone() AS zone WHERE isfinite(day)) z,
             LATERAL generate_series(day::timestamp AT TIME ZONE z.zone,
                                     ((day + 1)::timestamp AT TIME ZONE z.zone) - interval '1 second', interval '1 hour') h(hour)
        LEFT JOIN fraud.hourly_activity a ON a.hour = h.hour
    )
    SELECT '<h2>By hour</h2><div class="pair">'
        || fraud._svg_columns('Payments by hour', 'number of payments', array_agg(label ORDER BY hour), ARRAY['payments'], array_agg(payments::numeric ORDER BY hour))
        || fraud._svg_columns('Alerts by hour', 'number of alerts', array_agg(label ORDER BY hour), ARRAY['review', 'block'],
                              array_agg(reviewed::numeric ORDER BY hour), array_agg(blocked::numeric ORDER BY hour))
        || '</div>'
    FROM hour;
END;
COMMENT ON FUNCTION fraud._html_hours(date) IS 'internal: the report''s charts by hour';

CREATE FUNCTION fraud._html_top(day date) RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    WITH ranked AS (
        SELECT r.*, coalesce(r.key, '(none)') AS label, r.payments * coalesce(r.mean_score, 0)::numeric AS expected,
               row_number() OVER (PARTITION BY r.kind ORDER BY r.payments * coalesce(r.mean_score, 0) DESC, r.key) AS place
        FROM fraud._daily_risk r WHERE r.day = _html_top.day AND r.payments > 0
    )
    SELECT '<h2>Where the risk is</h2><p class="dim">Expected fraud is the sum of the payments'' scores: it tells where the risk is also on days without alerts.</p><div class="pair">'
        || string_agg(fraud._html_risk_bars(k.title, t.labels, t.expected, t.alerts, t.payments, t.alerted_volume), '' ORDER BY k.place)
        || '</div>'
    FROM (VALUES (1, 'merchant', 'Top merchants'), (2, 'category', 'Top categories'), (3, 'state', 'Top states')) k(place, kind, title)
    LEFT JOIN (SELECT r.kind, array_agg(r.label ORDER BY r.place) AS labels, array_agg(r.expected ORDER BY r.place) AS expected,
                      array_agg(r.alerts::numeric ORDER BY r.place) AS alerts, array_agg(r.payments::numeric ORDER BY r.place) AS payments,
                      array_agg(r.alerted_volume ORDER BY r.place) AS alerted_volume
               FROM ranked r WHERE r.place <= 10 GROUP BY r.kind) t ON t.kind = k.kind;
END;
COMMENT ON FUNCTION fraud._html_top(date) IS 'internal: the report''s merchants, categories and states';

CREATE FUNCTION fraud._html_alerts(day date) RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    WITH alert AS (
        SELECT a.*, (a.occurred_at AT TIME ZONE z.zone) AS local_time, t.base_amount AS amount, t.merchant, t.category, c.last_four, c.state,
               coalesce(current_setting('fraud_detect.case_url', true), '') AS case_url,
               row_number() OVER (ORDER BY a.score DESC, a.alert_id) AS place
        FROM (SELECT fraud.report_timezone() AS zone) z
        JOIN fraud.alerts a ON a.occurred_at >= day::timestamp AT TIME ZONE z.zone
                           AND a.occurred_at < (day + 1)::timestamp AT TIME ZONE z.zone
        LEFT JOIN fraud.transactions t ON t.card = a.card AND t.occurred_at = a.occurred_at AND t.transaction_id = a.transaction_id
        LEFT JOIN fraud.customers c ON c.card = a.card
    )
    SELECT '<h2>Alerts</h2>' || CASE WHEN count(*) = 0 THEN '<p class="empty">none this day</p>' ELSE
        CASE WHEN count(*) > 50 THEN format('<p class="dim">The 50 with the highest scores, of %s.</p>', fraud._number(count(*))) ELSE '' END
        || '<div class="scroll">' || fraud._html_columns(ARRAY['Time', 'Decision', '#Score', '#Amount', 'Merchant', 'Category', 'Card', 'State', 'Reasons'])
        || string_agg('<tr>' || fraud._html_cell('Time', 't', to_char(a.local_time, 'HH24:MI:SS')) || fraud._html_cell('Decision', a.decision, a.decision)
               || fraud._html_cell('Score', 'n', round(a.score::numeric, 3)::text) || fraud._html_cell('Amount', 'n', fraud._number(a.amount, 2))
               || fraud._html_cell('Merchant', '', fraud._html(a.merchant)) || fraud._html_cell('Category', '', fraud._html(a.category))
               || fraud._html_cell('Card', 't', fraud._html(coalesce('•••• ' || a.last_four, left(a.card::text, 8) || '…'))) || fraud._html_cell('State', '', fraud._html(a.state))
               || fraud._html_cell('Reasons', 'wide', '<ul>' || coalesce((SELECT string_agg('<li>' || fraud._html(r) || '</li>', '' ORDER BY i) FROM unnest(a.reasons) WITH ORDINALITY r(r, i)), '') || '</ul>'
                   || CASE WHEN a.case_url = '' THEN format('<span class="dim">case %s</span>', a.case_id)
                           ELSE format('<a href="%s">case %s</a>', fraud._html(replace(a.case_url, '{case_id}', a.case_id::text)), a.case_id) END) || '</tr>',
               '' ORDER BY a.place) FILTER (WHERE a.place <= 50)
        || '</tbody></table></div>' END
    FROM alert a;
END;
COMMENT ON FUNCTION fraud._html_alerts(date) IS 'internal: the report''s alerts';

CREATE FUNCTION fraud._html_corrections(day date) RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT coalesce('<h2>Corrections of earlier days</h2><p class="dim">Days that were closed and whose figures have changed since the report before this one.</p>'
        '<div class="scroll"><table><thead><tr><th>Day</th><th class="n">Revision</th><th class="n">Payments</th><th class="n">before</th>'
        '<th class="n">Known fraud</th><th class="n">before</th><th class="n">Known fraud, volume</th><th class="n">before</th></tr></thead><tbody>'
        || string_agg(format('<tr><td>%s</td><td class="n">%s</td><td class="n">%s</td><td class="n">%s</td><td class="n">%s</td><td class="n">%s</td><td class="n">%s</td><td class="n">%s</td></tr>',
               c.day, c.revision, fraud._number(c.payments), fraud._number(c.payments_before), fraud._number(c.fraud), fraud._number(c.fraud_before),
               fraud._number(c.fraud_volume, 2), fraud._number(c.fraud_volume_before, 2)), '' ORDER BY c.day, c.revision)
        || '</tbody></table></div>', '')
    FROM fraud._corrections(_html_corrections.day) c;
END;
COMMENT ON FUNCTION fraud._html_corrections(date) IS 'internal: the report''s part on revisions of earlier days; empty without any';

CREATE FUNCTION fraud._html_models(day date) RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT '<h2>Model</h2><div class="pair">'
        || (SELECT fraud._svg_columns('Payments above a score of 0.1', 'number of payments in each tenth, from',
                       array_agg(to_char(b / 10.0, 'FM0.0') ORDER BY b), ARRAY['payments'],
                       array_agg(coalesce(s.payments, 0) ORDER BY b))
            FROM generate_series(1, 9) b
            LEFT JOIN (SELECT floor(s.score_from * 10 + 0.001)::int AS bin, sum(s.payments) AS payments
                       FROM fraud.score_distribution s WHERE s.day = _html_models.day GROUP BY 1) s ON s.bin = b)
        || '<div><p><strong>Decisions of the last 30 days, as known now</strong></p>'
        || coalesce((SELECT '<div class="scroll"><table><thead><tr><th>Version</th><th class="n">Payments</th><th class="n">Alerts</th><th class="n">Precision</th><th class="n">Recall</th><th class="n">Caught</th><th class="n">Lost</th></tr></thead><tbody>'
                || string_agg(format('<tr><td>%s/%s</td><td class="n">%s</td><td class="n">%s</td><td class="n">%s</td><td class="n">%s</td><td class="n">%s</td><td class="n">%s</td></tr>',
                       fraud._html(p.model), p.model_version, fraud._number(p.payments), fraud._number(p.alerts),
                       fraud._percent(p.found / nullif(p.matured_alerts, 0)), fraud._percent(p.found / nullif(p.matured_fraud, 0)),
                       fraud._number(p.caught, 2), fraud._number(p.lost, 2)), '' ORDER BY p.model, p.model_version)
                || '</tbody></table></div>'
             FROM (SELECT m.model, m.model_version, sum(m.payments) AS payments, sum(m.alerts) AS alerts,
                          sum(m.caught_volume) AS caught, sum(m.lost_volume) AS lost,
                          sum(m.labelled_fraud_alerted) FILTER (WHERE m.matured) AS found,
                          sum(m.alerts) FILTER (WHERE m.matured) AS matured_alerts,
                          sum(m.labelled_fraud) FILTER (WHERE m.matured) AS matured_fraud
                   FROM fraud.model_performance m
                   WHERE m.day BETWEEN _html_models.day - 29 AND _html_models.day GROUP BY m.model, m.model_version) p
             HAVING count(*) > 0),
            '<p class="empty">no decisions in these days</p>')
        || '<p class="dim">Precision and recall are of the days whose labels have had the time to come in; caught and lost are sums of amounts of known fraud with and without an alert.</p></div></div>';
END;
COMMENT ON FUNCTION fraud._html_models(date) IS 'internal: the report''s part on the models';

-- (Streams are declared later in this script: what names them is looked up when it runs.)
CREATE FUNCTION fraud._html_streams(day date) RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (
        SELECT coalesce('<h2>Other events</h2><p class="dim">Tables that fraud.watch decides of, by the time of the decision.</p><div class="scroll"><table><thead><tr><th>Stream</th>'
            '<th class="n">Events</th><th class="n">Unscored</th><th class="n">Review</th><th class="n">Block</th><th class="n">Mean score</th>'
            '<th class="n">Amount</th><th class="n">Alerted amount</th><th class="n">Known fraud</th><th class="n">Caught</th></tr></thead><tbody>'
            || string_agg(format('<tr><td>%s</td><td class="n">%s</td><td class="n">%s</td><td class="n">%s</td><td class="n">%s</td><td class="n">%s</td><td class="n">%s</td><td class="n">%s</td><td class="n">%s</td><td class="n">%s</td></tr>',
                   fraud._html(s.stream), fraud._number(e.events), fraud._number(e.unscored), fraud._number(e.review), fraud._number(e.block),
                   coalesce(round(e.mean_score::numeric, 3)::text, '–'), coalesce(fraud._number(e.amount, 2), '–'), coalesce(fraud._number(e.alerted_amount, 2), '–'),
                   fraud._number(e.frauds), fraud._number(e.caught)), '' ORDER BY s.stream)
            || '</tbody></table></div>', '')
        FROM (SELECT fraud.report_timezone() AS zone) z
        CROSS JOIN fraud.streams s
        CROSS JOIN LATERAL (
            SELECT count(*) AS events, count(d.error) AS unscored, count(*) FILTER (WHERE d.decision = 'review') AS review,
                   count(*) FILTER (WHERE d.decision = 'block') AS block, avg(d.score) AS mean_score, sum(d.amount) AS amount,
                   sum(d.amount) FILTER (WHERE d.decision IN ('review', 'block')) AS alerted_amount,
                   count(*) FILTER (WHERE l.is_fraud) AS frauds, count(*) FILTER (WHERE l.is_fraud AND d.decision IN ('review', 'block')) AS caught
            FROM fraud.stream_decisions d
            LEFT JOIN fraud.labelled_events l ON l.stream = d.stream AND l.event_id = d.event_id
            WHERE d.stream = s.stream AND d.decided_at >= _html_streams.day::timestamp AT TIME ZONE z.zone
              AND d.decided_at < (_html_streams.day + 1)::timestamp AT TIME ZONE z.zone) e
        WHERE e.events > 0);
END
$$;
COMMENT ON FUNCTION fraud._html_streams(date) IS 'internal: the report''s part on streams; empty without any event';

CREATE FUNCTION fraud._html_health() RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT '<h2>System</h2><div class="scroll"><table><thead><tr><th>Item</th><th>Status</th><th>Detail</th></tr></thead><tbody>'
        || string_agg(format('<tr><td>%s</td><td class="%s">%s</td><td>%s</td></tr>', fraud._html(h.item), h.status, h.status,
                      fraud._html(h.detail || coalesce(' (since ' || fraud._told_time(CASE WHEN h.status <> 'ok' THEN h.since END) || ')', '') || coalesce('. To do: ' || h.advice, ''))),
                      '' ORDER BY h.status = 'ok', h.i)
        || '</tbody></table></div>'
    FROM (SELECT *, row_number() OVER () AS i FROM fraud.health()) h;
END;
COMMENT ON FUNCTION fraud._html_health() IS 'internal: the report''s part on the system';

CREATE FUNCTION fraud._report_html(day date) RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
SET jit = off
SET datestyle = 'ISO, YMD'
SET lc_time = 'C'
BEGIN ATOMIC
    SELECT fraud._check_day(day);
    SELECT fraud._html_head('Fraud report ' || day)
        || format('<h1>Fraud report, %s</h1><p class="dim">Time zone %s, as known on %s%s. Amounts in %s.</p>',
                  to_char(day, 'FMDay FMDD FMMonth YYYY'), fraud._html(fraud.report_timezone()),
                  to_char(now() AT TIME ZONE fraud.report_timezone(), 'YYYY-MM-DD HH24:MI'),
                  (SELECT coalesce('; closed, revision ' || max(r.revision), '; not closed') FROM fraud.daily_reports r WHERE r.day = _report_html.day), fraud._html(fraud.base_currency()))
        || fraud._html_headline(day) || fraud._html_hours(day) || fraud._html_top(day)
        || fraud._html_alerts(day) || fraud._html_corrections(day) || fraud._html_models(day) || fraud._html_streams(day) || fraud._html_health()
        || '</body></html>';
END;
COMMENT ON FUNCTION fraud._report_html(date) IS 'internal: the body of fraud.report_html, run as the owner';

CREATE FUNCTION fraud.report_html(day date) RETURNS text
AS 'MODULE_PATHNAME', 'fraud_detect_as_owner'
LANGUAGE C STABLE PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud.report_html(date) IS
    'a day as one HTML page that needs nothing from outside: figures against the week before, charts, alerts with reasons, models, streams, system; as known now';
