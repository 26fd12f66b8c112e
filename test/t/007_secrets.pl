# The alert that listeners get, and errors: 027_card_keys.pl has the keys.
use strict;
use warnings;

use FraudDetect;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('main');
sub value { return $node->safe_psql('postgres', $_[0]) }

value("SELECT status FROM fraud.ingest('" . payment(trans_num => '"n-1"', amt => 900) . "')");

# ------------------------------------------------------------------ errors
# No card number in an error, nor in the log of the statement that a function ran.
my ($status, undef, $error) = $node->psql('postgres',
    "SELECT * FROM fraud.assess('{\"cc_num\": \"4000000000000002 \", \"trans_num\": \"x\", \"amt\": \"4000000000000002\", \"merchant\": \"m\"}')");
isnt($status, 0, 'a bad payment is an error');
unlike($error =~ s/^LINE.*//msr, qr/ERROR.*4000000000000002/, 'which repeats no card number');

# What was in a payment, stored or refused, is not in the server's log, though a slow
# statement would be.
{
    my $before = -s $node->logfile;
    my $bad = '[{"cc_num": 4000000000000002, "trans_num": "order 4111 1111 1111 1111", "amt": 1, "merchant": "m 4111111111111111", "unix_time": 1470000000},'
        . ' {"cc_num": 4000000000000002, "trans_num": "s-2", "amt": "4111111111111111", "merchant": "m", "cvv": "8642975", "pin": 8642975}]';
    value("ALTER DATABASE postgres SET test.payments = '$bad'; ALTER DATABASE postgres SET test.payments_id = 'order 4111 1111 1111 1111'");
    value("SET log_min_messages = debug1; DO \$do\$ BEGIN PERFORM fraud.ingest(current_setting('test.payments')::jsonb); PERFORM fraud.label(current_setting('test.payments_id'), true); END \$do\$");
    value('ALTER DATABASE postgres RESET test.payments; ALTER DATABASE postgres RESET test.payments_id');
    my $log = substr(slurp_file($node->logfile), $before);
    $log =~ s/^.*test\.payments.*$//mg;
    unlike($log, qr/4111|8642975/, 'the log repeats nothing of it');
    is(value("SELECT count(*) FROM fraud.ingest_errors e WHERE encode(e.payload, 'escape') ~* '8642975|cvv|pin|4111111111111111'"), '0', 'nor does the dead letter');
    is(value("SELECT count(*) FROM fraud.labels l JOIN fraud.transactions t USING (card, transaction_id) WHERE t.merchant = 'm ************1111' AND t.transaction_id ~ '^pan_'"), '1', 'and the payment is found under the id that it came with');
}

# A role that may read everything an analyst reads still sees no key.
value("CREATE ROLE clerk; SELECT fraud.grant_access('clerk', 'analyst')");
($status, undef, $error) = $node->psql('postgres', 'SET ROLE clerk; SHOW fraud_detect.card_key_file');
like($error, qr/must be superuser or have privileges of pg_read_all_settings|permission denied/, 'where the key file lies is for superusers');

done_testing();
