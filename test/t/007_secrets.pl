# The alert that listeners get, and errors: 026_card_keys.pl has the keys.
use strict;
use warnings;

use FraudDetect;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('main');
sub value { return $node->safe_psql('postgres', $_[0]) }

# ---------------------------------------------------------------------- NOTIFY
value("SELECT fraud.promote('payments', 1, review_at => 0, block_at => 1)");
my $alarming = payment(trans_num => '"n-1"', amt => 900, merchant => '"A \"quoted\" name"');
my $output = value("LISTEN fraud_alerts;\nSELECT status FROM fraud.ingest('$alarming')");
like($output, qr/^stored\nAsynchronous notification "fraud_alerts" with payload "\{.*\}" received/m, 'a listener hears of an alert');
my ($json) = $output =~ /with payload "(\{.*\})" received/;
is(value("SELECT j ->> 'transaction_id', j ->> 'decision', j ->> 'last_four', j ->> 'merchant', jsonb_array_length(j -> 'reasons') > 0, (j ->> 'alert_id')::bigint = (SELECT alert_id FROM fraud.alerts), j ->> 'card' = (SELECT card::text FROM fraud.customers) FROM (SELECT \$j\$$json\$j\$::jsonb AS j) x"),
    'n-1|review|0002|A "quoted" name|t|t|t', 'with what it needs to know');
unlike($json, qr/4000000000000002/, 'and no card number');
$output = value("LISTEN fraud_alerts;\nBEGIN;\nSELECT status FROM fraud.ingest('" . payment(trans_num => '"n-2"') . "');\nROLLBACK;\nSELECT 1");
unlike($output, qr/notification/, 'nobody hears of what was rolled back');

# ------------------------------------------------------------------ errors
# No card number in an error, nor in the log of the statement that a function ran.
my ($status, undef, $error) = $node->psql('postgres',
    "SELECT * FROM fraud.assess('{\"cc_num\": \"4000000000000002 \", \"trans_num\": \"x\", \"amt\": \"4000000000000002\", \"merchant\": \"m\"}')");
isnt($status, 0, 'a bad payment is an error');
unlike($error =~ s/^LINE.*//msr, qr/ERROR.*4000000000000002/, 'which repeats no card number');

# A role that may read everything an analyst reads still sees no key.
value("CREATE ROLE clerk; SELECT fraud.grant_access('clerk', 'analyst')");
($status, undef, $error) = $node->psql('postgres', 'SET ROLE clerk; SHOW fraud_detect.card_key_file');
like($error, qr/must be superuser or have privileges of pg_read_all_settings|permission denied/, 'where the key file lies is for superusers');

done_testing();
