# A removal that comes to the sums before the payment that it removed, which lay in an older slot of the log with too few
# others to be a piece: the day's customers are those that have payments, in the views and when all is folded.
use strict;
use warnings;

use FraudDetect;
use PostgreSQL::Test::Utils;
use Test::More;

# No worker folds.
my $node = new_server('main', preload => 0);
sub value { return $node->safe_psql('postgres', $_[0]) }
sub pay
{
    my ($card, $id) = @_;
    my $payment = payment(cc_num => $card, trans_num => qq("$id"), current_time => 1700000000000);
    value("SELECT status FROM fraud.ingest('$payment')");
}
my $customers = 'SELECT r.customers, (SELECT count(DISTINCT t.card) FROM fraud.transactions t),'
  . ' (SELECT count(*) FROM fraud.customer_activity a WHERE a.active_days > 0) FROM fraud.daily_report r WHERE r.payments > 0';

pay(4000000000000000 + $_, "first-$_") for 1 .. 3;
value('SELECT fraud.refresh_rollups()');
pay(4000000000000010, 'gone');
# As after many changes: the slot is full, and another is made ready, then opened.
value('UPDATE fraud.change_slots SET first_id = 1 WHERE slot = (SELECT last_value FROM fraud.change_slot)');
is(value('SELECT fraud._fold(3)'), 'f', 'one change is no piece') for 1 .. 3;
is(value('SELECT last_value FROM fraud.change_slot'), '1', 'another slot is open');
value("DELETE FROM fraud.transactions WHERE transaction_id = 'gone'");
pay(4000000000000001, "second-$_") for 1 .. 2;
is(value($customers), '3|3|3', 'nothing of it is folded');
is(value('SELECT fraud._fold(3)'), 't', 'a piece of the open slot is folded');
is(value('SELECT string_agg(sign::text, $$ $$) FROM fraud.changes'), '1', 'the payment itself is not');
is(value($customers), '3|3|3', 'who has no payment is no customer of the day');
value('SELECT fraud.refresh_rollups()');
is(value($customers), '3|3|3', 'nor when all is folded');
# The same card's next payment of that day counts.
pay(4000000000000010, 'again');
is(value($customers), '4|4|4', 'one with a payment again is one');
value('SELECT fraud.refresh_rollups()');
is(value($customers), '4|4|4', 'in the sums, too');

done_testing();
