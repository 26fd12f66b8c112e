-- The features of payments as a feature set: for training, and for whoever wants to
-- add to them. What ingest stores is the same, bit for bit (sql/features.sql).
CREATE VIEW fraud.payment_events AS
    SELECT t.card, t.transaction_id, t.occurred_at, t.amount, t.merchant, t.category,
           t.merchant_latitude, t.merchant_longitude, t.features,
           coalesce(l.is_fraud, false) AS is_fraud, l.known_at AS label_known_at
    FROM fraud.transactions t
    LEFT JOIN (
        SELECT DISTINCT ON (l.transaction_id, l.card) l.transaction_id, l.card, l.is_fraud, l.known_at
        FROM fraud.labels l
        ORDER BY l.transaction_id, l.card, l.known_at DESC, l.label_id DESC) l
      ON l.transaction_id = t.transaction_id AND l.card = t.card;
COMMENT ON VIEW fraud.payment_events IS
    'payments with their latest label, for the feature set payments; what nobody has labelled counts as legitimate';
COMMENT ON COLUMN fraud.payment_events.features IS 'the vector that was scored';
COMMENT ON COLUMN fraud.payment_events.label_known_at IS 'from when the label counts; null: it is nobody''s';

SELECT fraud.create_feature_set('payments', 'fraud.payment_events', 'transaction_id', 'occurred_at',
    label => 'is_fraud', label_known_at => 'label_known_at', description => 'what payments are scored by');
SELECT fraud.add_feature('payments', 'amount', 'amount');
SELECT fraud.add_feature('payments', 'category', 'category', kind => 'code', categories =>
    '{entertainment,food_dining,gas_transport,grocery_net,grocery_pos,health_fitness,home,kids_pets,misc_net,misc_pos,personal_care,shopping_net,shopping_pos,travel}');
SELECT fraud.add_feature('payments', 'hour', 'extract(hour FROM occurred_at)', description => 'in UTC');
SELECT fraud.add_feature('payments', 'weekday', 'extract(dow FROM occurred_at)', description => 'in UTC, Sunday is 0');
-- What a payment said of its customer is not stored with it but in the vector.
SELECT fraud.add_feature('payments', 'age', 'features[5]', description => 'years');
SELECT fraud.add_feature('payments', 'distance_km', 'features[6]', description => 'from the customer''s home to the merchant');
SELECT fraud.add_feature('payments', 'city_population', 'features[7]', description => 'of the customer''s home');
SELECT fraud.add_window_feature('payments', 'count_' || w.name, 'count', NULL, 'card', w.width),
       fraud.add_window_feature('payments', 'sum_' || w.name, 'sum', 'amount', 'card', w.width),
       fraud.add_window_feature('payments', 'mean_' || w.name, 'avg', 'amount', 'card', w.width)
FROM (VALUES ('1h', interval '1 hour'), ('24h', '1 day'), ('7d', '7 days'), ('30d', '30 days')) w(name, width);
SELECT fraud.add_window_feature('payments', 'seconds_since_last', 'seconds_since_last', NULL, 'card', '30 days');
SELECT fraud.add_window_feature('payments', 'distance_from_last_km', 'distance', 'merchant_latitude, merchant_longitude', 'card', '30 days');
-- Its expressions are ours, and so are its rights.
UPDATE fraud.feature_sets SET builtin = true, defined_by = NULL;

-- From here on rows are what users made, or what a dump restores; a set's features
-- and categories go with it.
CREATE TRIGGER replace_builtin BEFORE INSERT ON fraud.feature_sets
    FOR EACH ROW WHEN (NEW.builtin) EXECUTE FUNCTION fraud._replace_builtin('feature_set');
