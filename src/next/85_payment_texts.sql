-- What comes with the extension says itself what it is in units.
UPDATE fraud.feature_definitions d SET description = 'of the customer at the payment, years' WHERE d.feature_set = 'payments' AND d.feature = 'age';
