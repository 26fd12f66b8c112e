# A customer is erased while others work: nobody else waits, and what is decided about
# the customer meanwhile counts.
use strict;
use warnings;

use FraudDetect;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('main');
sub value { return $node->safe_psql('postgres', $_[0]) }
sub stored { return "SELECT status FROM fraud.ingest('" . payment(cc_num => $_[0], trans_num => qq("$_[1]"), first => '"Ada"', last => '"Lovelace"', dob => '"1990-05-05"') . "');" }

value("SELECT fraud.promote('payments', 1, review_at => 0, block_at => 1)");
value(stored(4000000000000002, 'a-1'));
value(stored(4000000000000010, 'b-1'));
my $card = value("SELECT card FROM fraud.transactions WHERE transaction_id = 'a-1'");
my $case = value("SELECT case_id FROM fraud.cases WHERE card = '$card'");
value("SELECT fraud.dismiss_case($case)");
my ($one, $two) = map { $node->background_psql('postgres', on_error_stop => 0) } 0 .. 1;

# An erasure that is not committed: the customer's own payments wait, no other's do.
$one->query_safe('BEGIN');
like($one->query("SELECT * FROM fraud.erase_customer('$card', 'asked')"), qr/fraud\.customers\|1/, 'a customer is erased');
is(value("SET lock_timeout = '5s'; " . stored(4000000000000010, 'b-2')), 'stored', 'a payment of another is stored meanwhile');
my (undef, undef, $error) = $node->psql('postgres', "SET lock_timeout = '100ms'; " . stored(4000000000000002, 'a-2'));
like($error, qr/lock timeout/, 'one of the customer waits');
$one->query_safe('COMMIT');
is(value("SELECT first_name IS NULL FROM fraud.customers WHERE card = '$card'"), 't', 'then the name is gone');
is(value(stored(4000000000000002, 'a-1')), 'duplicate', 'a payment that is stored stays known');
is(value("SELECT first_name IS NULL FROM fraud.customers WHERE card = '$card'"), 't', 'and brings no name back');

# An analyst is about to reopen the case: the erasure waits for that and is refused.
$one->query_safe('BEGIN');
$one->query_safe("SELECT fraud.reopen_case($case)");
$two->query_until(qr/begun/, "\\echo begun\nSELECT fraud.erase_customer('$card', 'asked');\n");
ok(wait_for(sub { value("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query ~ 'erase_customer'") eq '1' }, 'the erasure waits'), 'an erasure waits for who decides');
$one->query_safe('COMMIT');
$two->query('SELECT 1');
like($two->{stderr}, qr/has a case that is not decided/, 'and looks at what was decided');
is(value("SELECT count(*) FROM fraud.audit_log WHERE action = 'erase'"), '1', 'what was refused is not noted');

# A hold that is about to be placed counts too.
value("SELECT fraud.dismiss_case($case)");
$one->query_safe('BEGIN');
$one->query_safe("SELECT fraud.hold_customer('$card', 'a court')");
$two->{stderr} = '';
$two->query_until(qr/again/, "\\echo again\nSELECT fraud.erase_customer('$card', 'asked');\n");
ok(wait_for(sub { value("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query ~ 'erase_customer'") eq '1' }, 'the erasure waits'), 'an erasure waits for a hold');
$one->query_safe('COMMIT');
$two->query('SELECT 1');
like($two->{stderr}, qr/is on hold/, 'and heeds it');
$_->quit for $one, $two;

# What is in the log was done; what was rolled back is in the server's log alone.
value("BEGIN; SELECT fraud.customer_data('$card'); ROLLBACK");
is(value("SELECT count(*) FROM fraud.audit_log WHERE action = 'export' AND object_kind = 'customer'"), '0', 'an export that is rolled back leaves no row');
like(PostgreSQL::Test::Utils::slurp_file($node->logfile), qr/LOG:  fraud_detect: customer "$card" is exported by role/, 'but a line of the server\'s log');

done_testing();
