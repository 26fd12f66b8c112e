-- The shape of a payment: attributes, money, who pays, what follows.
\pset null null
SELECT transaction_id, status, error FROM fraud.ingest(jsonb_build_array(
  jsonb_build_object('trans_num', 'shape1', 'cc_num', 4444000011112222, 'amt', 12.5, 'merchant', 'M', 'current_time', 1735689600000,
                     'device', jsonb_build_object('id', 'd-1', 'cvv', '123'), 'email', 'a@b.c', 'note', 'card 4111 1111 1111 1111', 'cvv2', 123,
                     'attributes', jsonb_build_object('ip', '1.2.3.4', 'own', '4444000011112222')),
  jsonb_build_object('trans_num', 'shape2', 'cc_num', 4444000011112222, 'amt', 1500, 'currency', 'JPY', 'merchant', 'M', 'current_time', 1735689601000),
  jsonb_build_object('trans_num', 'shape3', 'cc_num', 4444000011112222, 'amt_minor', 1234, 'currency', 'kwd', 'merchant', 'M', 'current_time', 1735689602000),
  jsonb_build_object('trans_num', 'shape4', 'cc_num', 4444000011112222, 'amt', 1, 'currency', 'XYZ', 'merchant', 'M', 'current_time', 1735689603000),
  jsonb_build_object('trans_num', 'shape5', 'cc_num', 4444000011112222, 'amt', 1.5, 'currency', 'JPY', 'merchant', 'M', 'current_time', 1735689604000)));
SELECT fraud.set_currency_rate('JPY', 0.0065, '2024-01-01 00:00+00');
SELECT fraud.set_currency_rate('KWD', 3.25, '2024-01-01 00:00+00');
SELECT transaction_id, status, error FROM fraud.ingest(jsonb_build_array(
  jsonb_build_object('trans_num', 'shape2', 'cc_num', 4444000011112222, 'amt', 1500, 'currency', 'JPY', 'merchant', 'M', 'current_time', 1735689601000),
  jsonb_build_object('trans_num', 'shape3', 'cc_num', 4444000011112222, 'amt_minor', 1234, 'currency', 'kwd', 'merchant', 'M', 'current_time', 1735689602000)));
SELECT transaction_id, amount, currency, base_amount, attributes FROM fraud.transactions WHERE transaction_id LIKE 'shape%' ORDER BY 1;
SELECT transaction_id, convert_from(payload, 'UTF8'), reason FROM fraud.ingest_errors WHERE transaction_id LIKE 'shape%' ORDER BY 1, 3;
SELECT * FROM fraud.verify_parity('payments');
