-- The features of payments: a feature set as any other, but that ingest computes it
-- for every payment and keeps the vector with it. Its events are fraud.payment_events
-- (src/sql/21_payment_fields.sql).
SELECT fraud.create_feature_set('payments', 'fraud.payment_events', 'transaction_id', 'occurred_at',
    label => 'is_fraud', label_known_at => 'label_known_at', label_changes => 'label_changes', description => 'what payments are scored by');

SELECT fraud.add_feature('payments', 'amount', 'base_amount',
    reason => 'amount {amount:.2}, where the card''s mean of 30 days is {mean_30d:.2}|amount {amount:.2} with a card that paid nothing in the last 30 days');
SELECT fraud.add_feature('payments', 'category', 'category', kind => 'code', categories =>
    '{entertainment,food_dining,gas_transport,grocery_net,grocery_pos,health_fitness,home,kids_pets,misc_net,misc_pos,personal_care,shopping_net,shopping_pos,travel}',
    reason => '~category {category:category}');
SELECT fraud.add_feature('payments', 'hour', 'extract(hour FROM occurred_at)', description => 'in UTC',
    reason => '~hour {hour:02}:00 UTC');
SELECT fraud.add_feature('payments', 'weekday', 'extract(dow FROM occurred_at)',
    description => 'in UTC, Sunday is 0', reason => '~on a {weekday:weekday}');
SELECT fraud.add_feature('payments', 'age', 'age', description => 'years',
    reason => '~customer aged {age:floor}');
SELECT fraud.add_feature('payments', 'distance_km',
    'fraud.distance_km(home_latitude, home_longitude, merchant_latitude, merchant_longitude)',
    description => 'from the customer''s home to the merchant',
    reason => 'merchant {distance_km:.0} km from the customer''s home|distance from the customer''s home not known');
SELECT fraud.add_feature('payments', 'city_population', 'city_population',
    description => 'of the customer''s home', reason => '~home city of {city_population:.0} people');

-- The card's own past.
SELECT fraud.add_window_feature('payments', 'count_' || w.name, 'count', NULL, 'card', w.width,
           reason => format('{count_%s:.0} earlier payments with the card in the last %s', w.name, w.words)),
       fraud.add_window_feature('payments', 'sum_' || w.name, 'sum', 'base_amount', 'card', w.width,
           reason => format('{sum_%s:.2} spent with the card in the last %s before this', w.name, w.words)),
       fraud.add_window_feature('payments', 'mean_' || w.name, 'avg', 'base_amount', 'card', w.width,
           reason => format('the card''s mean payment over the last %s is {mean_%s:.2}|no earlier payment with the card in the last %1$s', w.words, w.name))
FROM (VALUES ('1h', interval '1 hour', 'hour'), ('24h', '1 day', '24 hours'), ('7d', '7 days', '7 days'),
             ('30d', '30 days', '30 days')) w(name, width, words);
SELECT fraud.add_window_feature('payments', 'seconds_since_last', 'seconds_since_last', NULL, 'card', '30 days',
    reason => '{seconds_since_last:duration} since the card''s last payment|no earlier payment with the card in the last 30 days');
SELECT fraud.add_window_feature('payments', 'distance_from_last_km', 'distance', 'merchant_latitude, merchant_longitude',
    'card', '30 days', reason => '{distance_from_last_km:.0} km from the place of the card''s last payment|distance from the place of the card''s last payment not known');
SELECT fraud.add_window_feature('payments', 'speed_from_last_kmh', 'speed', 'merchant_latitude, merchant_longitude',
    'card', '30 days', reason => '{speed_from_last_kmh:.0} km/h from the place of the card''s last payment|speed from the place of the card''s last payment not known');
SELECT fraud.add_window_feature('payments', 'amount_ratio_30d', 'ratio', 'base_amount', 'card', '30 days',
    reason => 'amount is {amount_ratio_30d:.2} times the card''s 30-day mean|no 30-day mean of the card to compare the amount with');
SELECT fraud.add_window_feature('payments', 'amount_zscore_30d', 'zscore', 'base_amount', 'card', '30 days',
    reason => 'amount is {amount_zscore_30d:.1} standard deviations from the card''s 30-day mean|no spread of the card''s amounts in 30 days to compare with');
SELECT fraud.add_window_feature('payments', 'category_count_30d', 'count', NULL, 'card, category', '30 days',
    description => '0: the category is new for the card',
    reason => '{category_count_30d:.0} earlier payments of the card in this category in the last 30 days');
SELECT fraud.add_window_feature('payments', 'merchant_visits_30d', 'count', NULL, 'card, merchant', '30 days',
    description => '0: the merchant is new for the card',
    reason => '{merchant_visits_30d:.0} earlier payments of the card to this merchant in the last 30 days');

-- The merchant's past, of all cards. It ends an hour before the payment: what other
-- sessions have not committed yet and what a feed brings late makes no difference.
SELECT fraud.add_window_feature('payments', 'merchant_count_24h', 'count', NULL, 'merchant', '1 day', delay => '1 hour',
    reason => '{merchant_count_24h:.0} payments to the merchant within a day');
SELECT fraud.add_window_feature('payments', 'merchant_amount_ratio_30d', 'ratio', 'base_amount', 'merchant', '30 days', delay => '1 hour',
    reason => 'amount is {merchant_amount_ratio_30d:.2} times what is usual at the merchant|no earlier payments to the merchant to compare the amount with');
-- Chargebacks take days: a share of payments that nobody can have complained of yet
-- would look better than it is.
SELECT fraud.add_window_feature('payments', 'merchant_fraud_rate_30d', 'rate', NULL, 'merchant', '30 days', delay => '7 days',
    description => 'of the merchant''s payments a week ago and earlier, by what was known at the payment',
    reason => '{merchant_fraud_rate_30d:percent} of the merchant''s earlier payments were fraud|no payment to the merchant a week ago or earlier');
-- Its expressions are ours, and so are its rights.
UPDATE fraud.feature_sets SET builtin = true, defined_by = NULL;

-- From here on rows are what users made, or what a dump restores.
SELECT fraud._give_way('feature_sets', 'feature_set', '{feature_set}'),
       fraud._give_way('feature_definitions', 'feature_set', '{feature_set,position}'),
       fraud._give_way('feature_categories', 'feature_set', '{feature_set,feature,code}');

-- A dump has no categories of a feature that was dropped, so that nothing takes the place of ours.
CREATE FUNCTION fraud._leave_categories() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    DELETE FROM fraud.feature_categories c USING fraud.builtin_rows b
    WHERE b.relation = 'feature_categories' AND b.belongs_to = c.feature_set
      AND ROW(c.feature_set, c.feature, c.code)::text = ANY (b.row_keys)
      AND NOT EXISTS (SELECT FROM fraud.builtin_rows d WHERE d.relation = 'feature_definitions' AND d.belongs_to = c.feature_set)
      AND NOT EXISTS (SELECT FROM fraud.feature_definitions f WHERE f.feature_set = c.feature_set AND f.feature = c.feature);
    DELETE FROM fraud.builtin_rows b
    WHERE b.relation = 'feature_categories'
      AND NOT EXISTS (SELECT FROM fraud.builtin_rows d WHERE d.relation = 'feature_definitions' AND d.belongs_to = b.belongs_to)
      AND NOT EXISTS (SELECT FROM fraud.feature_categories c
                      WHERE c.feature_set = b.belongs_to AND ROW(c.feature_set, c.feature, c.code)::text = ANY (b.row_keys));
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION fraud._leave_categories() IS
    'internal: takes away the categories that CREATE EXTENSION made of features which a restored set does not have';
CREATE TRIGGER leave_categories AFTER INSERT ON fraud.feature_definitions
    FOR EACH STATEMENT EXECUTE FUNCTION fraud._leave_categories();
ALTER TABLE fraud.feature_definitions ENABLE ALWAYS TRIGGER leave_categories;
