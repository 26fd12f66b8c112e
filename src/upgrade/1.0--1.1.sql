-- The text of a feature that comes with the extension, where nobody has given it another.
UPDATE fraud.feature_definitions d SET description = 'of the customer at the payment, years'
WHERE d.feature_set = 'payments' AND d.feature = 'age' AND d.description = 'years';
