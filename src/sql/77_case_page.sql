-- fraud.case_page: a case as one page that needs nothing from outside, in the report's style (75_report_html.sql).
-- Small functions, one a section; each text that comes from data goes through fraud._html().

CREATE FUNCTION fraud._html_fact(title text, figure text, note text DEFAULT '') RETURNS text
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT format('<div class="tile"><div class="name">%s</div><div class="figure">%s</div><div class="change">%s</div></div>',
                  fraud._html(title), fraud._html(coalesce(figure, '–')), fraud._html(coalesce(note, '')));
END;
COMMENT ON FUNCTION fraud._html_fact(text, text, text) IS 'internal: a headline figure of the case page';

CREATE FUNCTION fraud._html_time(moment timestamptz, zone text) RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC SELECT to_char(moment AT TIME ZONE zone, 'YYYY-MM-DD HH24:MI:SS'); END;
COMMENT ON FUNCTION fraud._html_time(timestamptz, text) IS 'internal: a time as the page shows it';

-- fraud, legitimate or nothing yet
CREATE FUNCTION fraud._html_label(is_fraud boolean) RETURNS text
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC SELECT CASE WHEN is_fraud THEN '<span class="block">fraud</span>' WHEN NOT is_fraud THEN '<span class="ok">legitimate</span>' ELSE '–' END; END;
COMMENT ON FUNCTION fraud._html_label(boolean) IS 'internal: what is known of a payment';

CREATE FUNCTION fraud._html_case_head(matter fraud.cases, zone text) RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT format('<h1>Case %s</h1><p class="dim">%s, decided %s by the model. Opened %s, last alert %s. Times in %s, amounts in %s.</p>',
                  matter.case_id,
                  CASE matter.status WHEN 'merged' THEN format('Merged into case %s', matter.merged_into) ELSE initcap(matter.status) END
                  || CASE WHEN matter.status_by IS NOT NULL THEN fraud._html(format(' by %s', matter.status_by)) ELSE '' END,
                  coalesce(format('<span class="%s">%s</span>', matter.decision, matter.decision), '–'),
                  fraud._html_time(matter.opened_at, zone), coalesce(fraud._html_time(matter.last_alert_at, zone), '–'), fraud._html(zone), fraud._html(fraud.base_currency()))
        || '<div class="tiles facts">'
        || fraud._html_fact('Expected loss', fraud._number(matter.priority::numeric, 2), 'score × amount, summed')
        || fraud._html_fact('Amount', fraud._number(matter.amount, 2), CASE matter.alerts WHEN 1 THEN '1 payment' ELSE format('%s payments', fraud._number(matter.alerts)) END)
        || fraud._html_fact('Highest score', to_char(matter.max_score, 'FM0.0000'), 'probability of fraud')
        || fraud._html_fact('Due', coalesce(to_char(matter.due_at AT TIME ZONE zone, 'FMMon DD HH24:MI'), '–'),
                            CASE WHEN matter.status IN ('open', 'acknowledged') AND matter.due_at < now() THEN 'overdue' ELSE '' END)
        || fraud._html_fact('Assigned to', coalesce(matter.assignee::text, 'nobody'), coalesce('since ' || to_char(matter.assigned_at AT TIME ZONE zone, 'FMMon DD HH24:MI'), ''))
        || '</div>';
END;
COMMENT ON FUNCTION fraud._html_case_head(fraud.cases, text) IS 'internal: the case page''s head and figures';

CREATE FUNCTION fraud._html_case_customer(card uuid, zone text) RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT '<h2>Customer</h2><p>' || coalesce((
        SELECT concat_ws(', ', fraud._html(coalesce('•••• ' || c.last_four, c.customer_kind || ' ' || c.customer_id, left(c.card::text, 8) || '…')),
                   fraud._html(nullif(concat_ws(' ', c.first_name, c.last_name), '')), fraud._html(nullif(concat_ws(' ', c.city, c.state), '')),
                   CASE WHEN c.date_of_birth IS NOT NULL THEN format('born %s', to_char(c.date_of_birth, 'YYYY')) END, fraud._html(c.job))
            || format('<br><span class="dim">Payments from %s to %s%s. %s</span>', fraud._html_time(c.first_payment_at, zone), fraud._html_time(c.last_payment_at, zone),
                      CASE WHEN c.erased_at IS NOT NULL THEN format('; erased on %s', fraud._html_time(c.erased_at, zone)) ELSE '' END, c.card)
        FROM fraud.customers c WHERE c.card = _html_case_customer.card), '<span class="dim">unknown</span>') || '</p>';
END;
COMMENT ON FUNCTION fraud._html_case_customer(uuid, text) IS 'internal: the case page''s part on the customer';

-- The features that did most, and the rest in one, from where the model begins to the score.
CREATE FUNCTION fraud._html_waterfall(features text[], told text[], contributions float8[]) RETURNS text
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    WITH part AS (
        SELECT u.feature, u.told, u.phi::numeric AS phi, row_number() OVER (ORDER BY u.feature = '(bias)' DESC, abs(u.phi) DESC, u.feature) - 1 AS place
        FROM unnest(features, told, contributions) u(feature, told, phi)
    ), step AS (
        SELECT p.place, coalesce(p.told, p.feature) AS told, p.feature, p.phi FROM part p WHERE p.place <= 12
        UNION ALL
        SELECT 13, format('%s other features', count(*)), '', sum(p.phi) FROM part p WHERE p.place > 12 HAVING count(*) > 0
    ), reached AS (
        SELECT s.*, sum(s.phi) OVER (ORDER BY s.place) AS after, sum(s.phi) OVER (ORDER BY s.place) - s.phi AS before FROM step s
    ), span AS (
        -- From the first sum on: what the model begins with is far from all others.
        SELECT least(min(r.after), 0) AS low, greatest(max(r.after), 0) AS high FROM reached r
    )
    SELECT coalesce('<table class="bars waterfall"><tbody>'
        || string_agg(format('<tr><td class="name">%s%s</td><td class="bar"><svg viewBox="0 0 100 14" preserveAspectRatio="none" role="img" aria-label="%s">'
               '<line class="grid" x1="%s" x2="%4$s" y1="0" y2="14"/><rect class="%s" x="%s" y="1" width="%s" height="12"/></svg></td><td class="n">%s</td></tr>',
               CASE WHEN r.place = 0 THEN 'where the model begins' ELSE fraud._html(r.told) END,
               CASE WHEN r.place BETWEEN 1 AND 12 AND r.told NOT LIKE r.feature || ' %' THEN format('<span class="dim"> %s</span>', fraud._html(r.feature)) ELSE '' END,
               round(r.phi, 2), round(-s.low * 100 / (s.high - s.low), 2),
               CASE WHEN r.place = 0 THEN 'base' WHEN r.phi > 0 THEN 's2' ELSE 's1' END,
               round((least(r.before, r.after) - s.low) * 100 / (s.high - s.low), 2), greatest(round(abs(r.phi) * 100 / (s.high - s.low), 2), 0.5),
               CASE WHEN r.phi > 0 THEN '+' ELSE '' END || round(r.phi, 2)), '' ORDER BY r.place)
        || format('</tbody><tfoot><tr><td class="name">log-odds of fraud</td><td></td><td class="n">%s</td></tr></tfoot></table>', (SELECT round(sum(p.phi), 2) FROM part p)),
        '<p class="empty">not to be told any more: the model''s version or the payment''s features are gone</p>')
    FROM reached r, span s WHERE s.high > s.low;
END;
COMMENT ON FUNCTION fraud._html_waterfall(text[], text[], float8[]) IS
    'internal: the contributions of features to a score, one above the other, in log-odds';

CREATE FUNCTION fraud._html_case_payments(matter fraud.cases, zone text) RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    WITH payment AS MATERIALIZED (
        SELECT p.* FROM fraud._case_payments(matter.card, matter.case_id, 20) WITH ORDINALITY p(
            transaction_id, occurred_at, amount, currency, base_amount, merchant, category, distance_km, score, decision, model, model_version,
            reasons, is_fraud, attributes, features, alert_id, raised_at, place)
    ), part AS (
        SELECT e.* FROM payment p CROSS JOIN LATERAL fraud._case_contributions(p.features, p.model, p.model_version) e WHERE p.place = 1
    )
    SELECT '<h2>Payments</h2>'
        || CASE WHEN matter.alerts > 20 THEN format('<p class="dim">The 20 that weigh most, of %s.</p>', fraud._number(matter.alerts)) ELSE '' END
        || coalesce('<div class="scroll">' || fraud._html_columns(ARRAY['Time', 'Decision', '#Score', '#Amount', 'Merchant', 'Category', '#From home', 'Known', 'Reasons'])
            || (SELECT string_agg('<tr>' || fraud._html_cell('Time', 't', fraud._html_time(p.occurred_at, zone))
                    || fraud._html_cell('Decision', p.decision, p.decision) || fraud._html_cell('Score', 'n', to_char(p.score, 'FM0.0000'))
                    || fraud._html_cell('Amount', 'n', fraud._number(p.base_amount, 2)
                        || CASE WHEN p.currency <> fraud.base_currency() THEN format('<br><span class="dim">%s %s</span>', fraud._number(p.amount, 2), fraud._html(p.currency)) ELSE '' END)
                    || fraud._html_cell('Merchant', '', fraud._html(p.merchant)) || fraud._html_cell('Category', '', fraud._html(p.category))
                    || fraud._html_cell('From home', 'n', round(p.distance_km::numeric) || ' km') || fraud._html_cell('Known', '', fraud._html_label(p.is_fraud))
                    || fraud._html_cell('Reasons', 'wide', '<ul>' || (SELECT string_agg('<li>' || fraud._html(r) || '</li>', '' ORDER BY i) FROM unnest(p.reasons) WITH ORDINALITY r(r, i)) || '</ul>'
                        || format('<span class="dim">%s</span>', fraud._html(p.transaction_id)))
                    || '</tr>', '' ORDER BY p.place) FROM payment p)
            || '</tbody></table></div>', '<p class="empty">none: see the case that it was merged into</p>')
        -- What else decided of the payments, such as rules that matched, belongs here.
        || coalesce((SELECT format('<h2>Why</h2><p class="dim">What each feature did to the score of %s at %s (%s/%s), in log-odds: above 0 it speaks for fraud.</p>',
                                   fraud._number(p.base_amount, 2), fraud._html(coalesce(p.merchant, '–')), fraud._html(p.model), p.model_version) FROM payment p WHERE p.place = 1)
            || (SELECT fraud._html_waterfall(array_agg(e.feature), array_agg(e.told), array_agg(e.contribution)) FROM part e), '');
END;
COMMENT ON FUNCTION fraud._html_case_payments(fraud.cases, text) IS 'internal: the case page''s payments, and why the worst of them was alerted';

-- One dot a payment, by its time: above its amount, below how far from home it was.
CREATE FUNCTION fraud._svg_timeline(title text, unit text, at float8[], size float8[], class text[], told text[], first_label text, last_label text) RETURNS text
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    WITH dot AS (
        SELECT u.at, u.size, u.class, u.told FROM unnest(at, size, class, told) u(at, size, class, told) WHERE u.size IS NOT NULL
    ), axis AS (
        SELECT fraud._axis_step(max(d.size)::numeric) AS step, max(d.size)::numeric AS most FROM dot d
    ), scale AS (
        SELECT a.step, greatest(ceil(a.most / a.step), 1) * a.step AS top FROM axis a
    )
    SELECT format('<figure><figcaption>%s <span class="unit">%s</span></figcaption><svg viewBox="0 0 520 170" role="img" aria-label="%1$s, %2$s">', fraud._html(title), fraud._html(unit))
        || (SELECT string_agg(format('<line class="grid" x1="60" x2="512" y1="%1$s" y2="%1$s"/><text class="tick" x="54" y="%2$s" text-anchor="end">%3$s</text>',
                                     round(138 - t * 128 / s.top, 1), round(142 - t * 128 / s.top, 1), fraud._number(t)), '')
            FROM scale s, generate_series(0, s.top, s.step) t)
        || (SELECT string_agg(format('<circle class="%s" cx="%s" cy="%s" r="%s"><title>%s</title></circle>', d.class, round((64 + d.at * 444)::numeric, 1),
                                     round(138 - d.size::numeric * 128 / s.top, 1), CASE WHEN d.class = 'past' THEN 3 ELSE 5 END, fraud._html(d.told)), '' ORDER BY d.class = 'past' DESC, d.at)
            FROM dot d, scale s)
        || format('<text class="tick" x="64" y="160">%s</text><text class="tick" x="508" y="160" text-anchor="end">%s</text></svg></figure>', fraud._html(first_label), fraud._html(last_label))
    WHERE EXISTS (SELECT FROM dot);
END;
COMMENT ON FUNCTION fraud._svg_timeline(text, text, float8[], float8[], text[], text[], text, text) IS
    'internal: payments by time; at is from 0 to 1, class past, review, block or fraud';

CREATE FUNCTION fraud._html_case_timeline(matter fraud.cases, zone text) RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    WITH bounds AS MATERIALIZED (
        SELECT min(a.occurred_at) - interval '30 days' AS since, max(a.occurred_at) + interval '1 day' AS until
        FROM fraud.alerts a WHERE a.card = matter.card AND a.case_id = matter.case_id
    ), payment AS MATERIALIZED (
        SELECT t.* FROM bounds b CROSS JOIN LATERAL fraud._case_timeline(matter.card, matter.case_id, b.since, b.until, 200) WITH ORDINALITY t(
            transaction_id, occurred_at, base_amount, merchant, category, distance_km, latitude, longitude, score, decision, is_fraud, of_case, place)
    ), span AS (
        SELECT min(p.occurred_at) AS first, max(p.occurred_at) AS last, count(*) AS n FROM payment p
    ), drawn AS (
        SELECT array_agg(coalesce(extract(epoch FROM p.occurred_at - s.first) / nullif(extract(epoch FROM s.last - s.first), 0), 0.5)::float8 ORDER BY p.place) AS at,
               array_agg(p.base_amount::float8 ORDER BY p.place) AS amounts, array_agg(p.distance_km ORDER BY p.place) AS distances,
               array_agg(CASE WHEN p.is_fraud THEN 'fraud' WHEN p.decision IN ('review', 'block') THEN p.decision ELSE 'past' END ORDER BY p.place) AS classes,
               array_agg(format('%s: %s at %s%s', fraud._html_time(p.occurred_at, zone), fraud._number(p.base_amount, 2), p.merchant,
                                CASE WHEN p.decision IN ('review', 'block') THEN ', ' || p.decision ELSE '' END || CASE WHEN p.is_fraud THEN ', fraud' ELSE '' END) ORDER BY p.place) AS told
        FROM payment p, span s
    )
    SELECT '<h2>The customer''s payments around it</h2>'
        || CASE WHEN s.n = 0 THEN '<p class="empty">not stored any more</p>' ELSE
           format('<p class="dim">%s from 30 days before to a day after%s.<span class="key past">approved</span><span class="key review">review</span><span class="key block">block</span><span class="key fraud">known fraud</span></p><div class="pair">',
                  CASE s.n WHEN 1 THEN '1 payment' ELSE format('%s payments', s.n) END, CASE WHEN s.n = 200 THEN ': the newest 200' ELSE '' END)
        || coalesce(fraud._svg_timeline('Amount', fraud.base_currency(), d.at, d.amounts, d.classes, d.told, to_char(s.first AT TIME ZONE zone, 'YYYY-MM-DD'), to_char(s.last AT TIME ZONE zone, 'YYYY-MM-DD')), '')
        || coalesce(fraud._svg_timeline('Distance from home', 'km', d.at, d.distances, d.classes, d.told, to_char(s.first AT TIME ZONE zone, 'YYYY-MM-DD'), to_char(s.last AT TIME ZONE zone, 'YYYY-MM-DD')), '')
        || '</div><div class="scroll">' || fraud._html_columns(ARRAY['Time', '#Amount', 'Merchant', 'Category', '#From home', 'Place', 'Decision', 'Known'])
        || (SELECT string_agg(format('<tr%s>', CASE WHEN p.of_case THEN ' class="mark"' ELSE '' END)
                || fraud._html_cell('Time', 't', fraud._html_time(p.occurred_at, zone)) || fraud._html_cell('Amount', 'n', fraud._number(p.base_amount, 2))
                || fraud._html_cell('Merchant', '', fraud._html(p.merchant)) || fraud._html_cell('Category', '', fraud._html(p.category))
                || fraud._html_cell('From home', 'n', round(p.distance_km::numeric) || ' km')
                || fraud._html_cell('Place', 't', round(p.latitude::numeric, 2) || ', ' || round(p.longitude::numeric, 2))
                || fraud._html_cell('Decision', coalesce(p.decision, ''), p.decision) || fraud._html_cell('Known', '', fraud._html_label(p.is_fraud)) || '</tr>', '' ORDER BY p.place)
            FROM payment p WHERE p.place <= 15)
        || '</tbody></table></div>' || CASE WHEN s.n > 15 THEN '<p class="dim">The newest 15 of them.</p>' ELSE '' END END
    FROM span s, drawn d;
END;
COMMENT ON FUNCTION fraud._html_case_timeline(fraud.cases, text) IS 'internal: the case page''s course of the customer''s payments';

CREATE FUNCTION fraud._html_case_links(matter fraud.cases, zone text) RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT '<h2>What it shares</h2><p class="dim">Payments of all customers from 7 days before to 7 days after, with the same merchant or field.</p>'
        || coalesce('<div class="scroll">' || fraud._html_columns(ARRAY['What', 'Value', '#Payments', '#Customers', '#Amount', '#Alerts', '#Known frauds', 'From', 'To'])
            || string_agg('<tr>' || fraud._html_cell('What', '', fraud._html(l.kind)) || fraud._html_cell('Value', 'w', fraud._html(l.value))
                || fraud._html_cell('Payments', 'n', CASE WHEN l.capped THEN 'newest ' ELSE '' END || fraud._number(l.payments))
                || fraud._html_cell('Customers', 'n', fraud._number(l.customers)) || fraud._html_cell('Amount', 'n', fraud._number(l.amount, 2))
                || fraud._html_cell('Alerts', 'n', fraud._number(l.alerts))
                || fraud._html_cell('Known frauds', CASE WHEN l.frauds > 0 THEN 'n block' ELSE 'n' END, fraud._number(l.frauds))
                || fraud._html_cell('From', 't', to_char(l.first_at AT TIME ZONE zone, 'YYYY-MM-DD HH24:MI')) || fraud._html_cell('To', 't', to_char(l.last_at AT TIME ZONE zone, 'YYYY-MM-DD HH24:MI'))
                || '</tr>', '' ORDER BY l.frauds DESC, l.customers DESC, l.kind, l.value)
            || '</tbody></table></div>', '<p class="empty">nothing: its payments are not stored any more</p>')
    FROM fraud.case_links(matter.case_id) l;
END;
COMMENT ON FUNCTION fraud._html_case_links(fraud.cases, text) IS 'internal: the case page''s part on what payments share';

CREATE FUNCTION fraud._html_case_history(matter fraud.cases, zone text) RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT '<h2>History</h2>'
        || coalesce('<div class="scroll">' || fraud._html_columns(ARRAY['Time', 'Who', 'What', 'Note'])
            || string_agg('<tr>' || fraud._html_cell('Time', 't', fraud._html_time(h.changed_at, zone)) || fraud._html_cell('Who', '', fraud._html(h.changed_by))
                || fraud._html_cell('What', '', h.action
                    || CASE h.action WHEN 'assign' THEN fraud._html(format(' to %s', h.assignee)) WHEN 'merge' THEN format(' with case %s', h.other_case)
                                     WHEN 'decide' THEN format(': %s', h.new_status) ELSE '' END)
                || fraud._html_cell('Note', 'w wide', fraud._html(h.note)) || '</tr>', '' ORDER BY h.event_id)
            || '</tbody></table></div>', '<p class="empty">nobody has looked at it yet</p>')
    FROM fraud.case_history h WHERE h.card = matter.card AND h.case_id = matter.case_id;
END;
COMMENT ON FUNCTION fraud._html_case_history(fraud.cases, text) IS 'internal: the case page''s history and notes';

CREATE FUNCTION fraud._html_case_others(matter fraud.cases, zone text) RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT coalesce('<h2>Other cases of the customer</h2><div class="scroll">' || fraud._html_columns(ARRAY['Case', 'Status', 'Opened', '#Payments', '#Amount'])
        || string_agg('<tr>' || fraud._html_cell('Case', '', CASE WHEN u.url = '' THEN o.case_id::text
                   ELSE format('<a href="%s">%s</a>', fraud._html(replace(u.url, '{case_id}', o.case_id::text)), o.case_id) END)
            || fraud._html_cell('Status', '', o.status) || fraud._html_cell('Opened', 't', fraud._html_time(o.opened_at, zone))
            || fraud._html_cell('Payments', 'n', fraud._number(o.alerts)) || fraud._html_cell('Amount', 'n', fraud._number(o.amount, 2)) || '</tr>', '' ORDER BY o.case_id DESC)
        || '</tbody></table></div>', '')
    FROM (SELECT c.* FROM fraud.cases c WHERE c.card = matter.card AND c.case_id <> matter.case_id ORDER BY c.case_id DESC LIMIT 20) o,
         (SELECT coalesce(current_setting('fraud_detect.case_url', true), '') AS url) u;
END;
COMMENT ON FUNCTION fraud._html_case_others(fraud.cases, text) IS 'internal: the case page''s list of the customer''s other cases; empty without any';

CREATE FUNCTION fraud._case_page(id bigint) RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
SET datestyle = 'ISO, YMD'
SET lc_time = 'C'
SET jit = off
AS $$
DECLARE
    matter fraud.cases := fraud._case_of(id);
    zone text := fraud.report_timezone();
BEGIN
    RETURN fraud._html_head(format('Case %s', id))
        || fraud._html_case_head(matter, zone) || fraud._html_case_payments(matter, zone) || fraud._html_case_timeline(matter, zone)
        || fraud._html_case_links(matter, zone) || fraud._html_case_customer(matter.card, zone)
        || fraud._html_case_history(matter, zone) || fraud._html_case_others(matter, zone)
        || '</body></html>';
END
$$;
COMMENT ON FUNCTION fraud._case_page(bigint) IS 'internal: the body of fraud.case_page, run as its caller';

CREATE FUNCTION fraud.case_page(id bigint) RETURNS text
AS 'MODULE_PATHNAME', 'fraud_detect_as_caller'
LANGUAGE C STABLE PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud.case_page(bigint) IS
    'a case as one HTML page that needs nothing from outside and no script: payments with reasons, what each feature did to the score, the customer''s payments around it, what they share with others, history and notes, other cases. With the caller''s rights; an error with SQLSTATE P0002 where there is no such case';
