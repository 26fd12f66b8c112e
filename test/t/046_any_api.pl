# Three APIs side by side: the seed's, a bank's (nested, in an envelope, page by page, a token that
# expires, times with an offset, yen and euro in minor units, refunds) and a CSV feed; all payments in
# one database, features over device and e-mail across sources, the report in one currency.
use strict;
use warnings;

use FraudDetect;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('main', conf => "fraud_detect.base_currency = 'USD'\n");
sub value { return $node->safe_psql('postgres', $_[0]) }

my $seed = start_api('--tick', '1', '--per-tick', '1');
# The token is good for less than the walk takes: it has to be renewed on the way.
my $bank = start_api('--booked', '120', '--token-seconds', '1');

value("SELECT fraud.set_currency_rate('EUR', 1.1, '2020-01-01'), fraud.set_currency_rate('JPY', 0.0067, '2020-01-01')");
value(q{SELECT fraud.add_payment_field('device', 'text', '$.device', index => true), fraud.add_payment_field('email', 'text', '$.email')});
value(q{SELECT fraud.add_window_feature('payments', 'device_customers_1d', 'distinct', 'card', 'device', '1 day'),
               fraud.add_window_feature('payments', 'email_count_1d', 'count', NULL, 'email', '1 day')});

value("SELECT fraud.add_source('seed', '$seed->{url}/current-transactions', poll_interval => '500 milliseconds')");
value(qq{SELECT fraud.add_source('bank', '$bank->{url}/bank/transactions', poll_interval => '1 second',
    request => '{"query": {"from": "{{since}}"}, "since": {"first": "2 days"},
                 "paging": {"kind": "cursor", "path": "\$.next_cursor", "size": 10, "size_parameter": "limit"},
                 "rate_limit": 240,
                 "auth": {"kind": "oauth2_client_credentials", "token_url": "$bank->{url}/bank/token", "client_id": "fraud detect"}}',
    secrets => '{"client_secret": "s3cret & more"}',
    mapping => '{"payments": "\$.data.transactions[*]", "fields": {
        "transaction_id": "\$.transactionId", "occurred_at": "\$.bookedAt", "amount": {"path": "\$.amount.value", "minor_units": true},
        "currency": "\$.amount.currency", "merchant": "\$.creditor.name", "category": {"value": "misc_net"},
        "customer": "\$.debtor.account.iban", "customer_kind": {"value": "iban"},
        "kind": {"path": "\$.type", "map": {"PAYMENT": "payment", "REFUND": "refund"}}, "reference": "\$.originalTransactionId",
        "attributes.device": "\$.device.id", "attributes.email": "\$.contact.email"}}')});
value(qq{SELECT fraud.add_source('file', '$bank->{url}/bank/feed.csv?limit=1000', format => 'csv', poll_interval => '1 second',
    mapping => '{"delimiter": ";", "fields": {
        "transaction_id": "\$.id", "occurred_at": "\$.booked", "amount": {"path": "\$.amount", "minor_units": true},
        "currency": "\$.currency", "merchant": "\$.merchant", "customer": "\$.email", "customer_kind": {"value": "account"},
        "kind": {"value": "payment"}, "attributes.email": "\$.email", "attributes.device": "\$.device"}}')});

ok(wait_for(sub { value("SELECT count(*) FROM fraud.transactions WHERE source = 'bank'") eq '108' }, 'the bank'), 'all payments of the bank are stored')
  or diag(value('SELECT name, state, last_error, stored, rejected FROM fraud.source_status'));
ok(wait_for(sub { value("SELECT count(*) FROM fraud.payment_followups WHERE source = 'bank'") eq '12' }, 'refunds'), 'and all refunds')
  or diag(value('SELECT reason, count(*) FROM fraud.ingest_errors GROUP BY 1'));
ok(wait_for(sub { value("SELECT count(*) FROM fraud.transactions WHERE source = 'file'") eq '120' }, 'the file'), 'all lines of the CSV feed')
  or diag(value('SELECT reason, count(*) FROM fraud.ingest_errors GROUP BY 1'));
ok(wait_for(sub { value("SELECT count(*) > 2 FROM fraud.transactions WHERE source = 'seed'") eq 't' }, 'the seed'), "the seed's API goes on");
is(value("SELECT count(*) FROM fraud.ingest_errors"), '0', 'no dead letter') or diag(value('SELECT source, reason FROM fraud.ingest_errors LIMIT 3'));
is(value("SELECT string_agg(name || ' ' || (consecutive_failures = 0), ', ' ORDER BY name) FROM fraud.source_status"), 'bank true, file true, seed true', 'no source fails');

is(value("SELECT string_agg(DISTINCT currency, ',' ORDER BY currency) FROM fraud.transactions"), 'EUR,JPY,USD', 'three currencies');
is(value("SELECT amount, base_amount FROM fraud.transactions WHERE source = 'bank' AND transaction_id = 'bank-000002'"), '1202|8.05', 'yen have no decimals');
is(value("SELECT amount, base_amount FROM fraud.transactions WHERE source = 'bank' AND transaction_id = 'bank-000001'"), '12.51|13.76', 'euro have two');
is(value("SELECT amount = base_amount FROM fraud.transactions WHERE source = 'seed' GROUP BY 1"), 't', 'without a currency it is ours');
is(value("SELECT occurred_at = (SELECT min(occurred_at) FROM fraud.transactions WHERE source = 'bank') FROM fraud.transactions WHERE source = 'bank' AND transaction_id = 'bank-000000'"),
    't', 'times with an offset');
is(value("SELECT customer_kind, count(*) FROM fraud.customers c WHERE EXISTS (SELECT FROM fraud.transactions t WHERE t.card = c.card AND t.source <> 'seed') GROUP BY 1 ORDER BY 1"),
    "account|7\niban|7", 'customers of two kinds');
is(value("SELECT count(*) FROM fraud.transactions t WHERE t.source = 'bank' AND t.attributes::text LIKE '%50010517%'"), '0', 'an IBAN that is the customer is not kept beside');

# Across sources: a device of the bank is the same in the file.
my $place = "(SELECT array_position(fraud.payment_features(), 'device_customers_1d'))";
is(value("SELECT max(features[$place]) > 1 FROM fraud.transactions WHERE source = 'file'"), 't', 'windows by device count both');
is(value("SELECT count(*) FROM fraud.verify_parity('payments', 300)"), '0', 'features are the same offline and online');

# One currency in all sums.
value('SELECT fraud.refresh_rollups()');
is(value("SELECT (SELECT sum(volume) FROM fraud.daily_report) = (SELECT sum(base_amount) FROM fraud.transactions)"), 't', 'the report is in one currency');
is(value("SELECT sum(refunded) = (SELECT sum(base_amount) FROM fraud.payment_followups WHERE kind = 'refund') FROM fraud.payment_balances"), 't', 'refunds are told apart');
cmp_ok(value("SELECT count(*) FROM fraud.source_fields WHERE source IN ('bank', 'file')"), '>', 0, 'what no mapping names is counted');

done_testing();
