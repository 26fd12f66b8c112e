# One bad payment is one bad payment, whatever its error: the others are stored, it is a dead
# letter with its reason, and can be sent again.
use strict;
use warnings;

use FraudDetect;
use File::Temp ();
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

my $bodies = File::Temp->newdir;
my $api = start_api('--bodies', "$bodies");
my $node = new_server('main');
sub value { return $node->safe_psql('postgres', $_[0]) }
sub serve_text
{
    my ($body) = @_;
    open(my $file, '>', "$bodies/a.new") or die $!;
    print $file $body;
    close($file);
    rename("$bodies/a.new", "$bodies/a") or die $!;
}
# Serves payments: each [card, id, more fields].
sub serve
{
    my $now = int(time * 1000);
    serve_text('[' . join(',', map { my ($card, $id, %more) = @$_; payment(cc_num => 4000000000000000 + 18 * $card, trans_num => qq("$id"), current_time => $now, %more) } @_) . ']');
}
my $served = 0;
# Others go on: one new payment.
sub another { my ($n) = (++$served); return [ 500 + $n % 100, "other-$n" ] }
sub stored { my ($id) = @_; return $node->poll_query_until('postgres', "SELECT count(*) = 1 FROM fraud.transactions WHERE transaction_id = '$id'") }
# In how many of the three places a payment is.
sub places { my ($id) = @_; return value("SELECT (SELECT count(*) FROM fraud.inbox WHERE transaction_id = '$id') + (SELECT count(*) FROM fraud.transactions WHERE transaction_id = '$id') + (SELECT count(*) FROM fraud.ingest_errors WHERE transaction_id = '$id')") }
my $empty = 'SELECT NOT EXISTS (SELECT FROM fraud.inbox)';
serve();
value("SELECT fraud.add_source('a', '$api->{url}/bodies/a', poll_interval => '200 ms')");

# ------------------------------------------------- numbers that jsonb has no place for
serve([ 1, 'tiny', ratio => '1e-99999' ], [ 2, 'beside' ]);
ok(stored('beside'), 'a number with too many decimals keeps no other payment back');
ok(stored('tiny'), 'nor its own');
is(value("SELECT attributes FROM fraud.transactions WHERE transaction_id = 'tiny'"), '{"ratio": {"unreadable": "1e-99999"}}', 'and is kept as what cannot be read');

# ---------------------------------------------------- every class of errors, all at once
# SQLSTATEs as a trigger or a feature may raise them; most stand for their class.
my @states = qw(08006 0A000 21000 22012 23514 25006 26000 38000 40001 40P01 42501 42883 53100 53200 54000 54001 55000 57014 57P01 58030 F0000 HV000 P0001 P0004 XX000 XX001 Z9999);
value('CREATE TABLE public.states (amount numeric PRIMARY KEY, state text)');
value('INSERT INTO public.states VALUES ' . join(',', map { '(' . ($_ + 1) . ".01, '$states[$_]')" } 0 .. $#states) . ", (100.01, '55P03')");
value(q{CREATE FUNCTION public.touchy(amount numeric) RETURNS numeric IMMUTABLE LANGUAGE plpgsql AS $$
DECLARE s text;
BEGIN
    SELECT t.state INTO s FROM public.states t WHERE t.amount = touchy.amount;
    IF FOUND THEN RAISE EXCEPTION 'not this one' USING ERRCODE = s, DETAIL = 'As it says.'; END IF;
    RETURN amount;
END $$; GRANT SELECT ON public.states TO PUBLIC});
value(q{SELECT fraud.add_feature('payments', 'touchy', 'public.touchy(amount)')});
serve((map { [ $_, "bad-$states[$_]", amt => ($_ + 1) . '.01' ] } 0 .. $#states), [ 60, 'bad-55P03', amt => '100.01' ], map { [ 100 + $_, "good-$_" ] } 1 .. 20);
ok(stored("good-$_"), "good-$_ is stored beside bad ones") || die for 1, 20;
ok($node->poll_query_until('postgres', "SELECT count(*) = 20 FROM fraud.transactions WHERE transaction_id LIKE 'good-%'"), 'all of them');
my $dead = "SELECT count(*) FROM fraud.ingest_errors WHERE transaction_id LIKE 'bad-%' AND occurred_at IS NOT NULL";
my $deadline = time + 120;
while (time < $deadline && value($dead) < @states)
{
    serve(another());
    usleep(300_000);
}
is(value($dead), scalar @states, 'each of the bad is a dead letter, whatever its SQLSTATE')
  or diag(value("SELECT string_agg(transaction_id, ' ') FROM fraud.inbox WHERE transaction_id LIKE 'bad-%'"));
is(value("SELECT count(*) FROM fraud.ingest_errors WHERE transaction_id LIKE 'bad-%' AND reason LIKE 'could not compute feature \"touchy\" of payment \"' || transaction_id || '\": not this one; As it says.'"),
    @states - 2, 'with its reason: payment, feature and what was said');
is(value("SELECT string_agg(transaction_id || ': ' || reason, ', ' ORDER BY transaction_id) FROM fraud.ingest_errors WHERE transaction_id LIKE 'bad-57%'"), 'bad-57014: not this one; As it says., bad-57P01: not this one; As it says.', 'what looks like a cancel is told as it came');
is(value("SELECT h.reason LIKE '%touchy%' AND b.transaction_id = 'bad-55P03' FROM fraud.held_customers h JOIN fraud.inbox b USING (card)"), 't', 'one that waits for a lock waits');
like(value("SELECT detail FROM fraud.health() WHERE item = 'inbox'"), qr/^1 payments wait to be scored, the oldest for .*; 1 customers are held, one for .*: could not compute feature "touchy" of payment "bad-55P03"/, 'and health says so');
value('UPDATE fraud.inbox SET received_at = received_at - $$6 minutes$$::interval');
is(value("SELECT status FROM fraud.health() WHERE item = 'inbox'"), 'error', 'as an error when it takes long');
is(value("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'fraud_detect scorer' AND backend_start < (SELECT min(received_at) + interval '7 minutes' FROM fraud.transactions)"), '2', 'no scorer ended');

# -------------------------------------------------------------- what a feed repeats
is(places('bad-22012'), '1', 'a payment is in one place');
my $before = value("SELECT occurrences FROM fraud.ingest_errors WHERE transaction_id = 'bad-22012'");
serve([ 3, 'bad-22012', amt => '4.01' ], another());
ok($node->poll_query_until('postgres', "SELECT occurrences > $before + 2 FROM fraud.ingest_errors WHERE transaction_id = 'bad-22012'"), 'repeated by its feed it is counted there');
is(places('bad-22012'), '1', 'and is in one place still');
serve([ 4, 'bad-23514', amt => '5' ]);
ok(stored('bad-23514'), 'corrected by its feed it is stored');

# -------------------------------------------------------------- tried again
my $held = $node->background_psql('postgres');
$held->query_safe('BEGIN');
$held->query_safe("SELECT 1 FROM fraud.ingest_errors WHERE transaction_id = 'bad-22012' FOR UPDATE");
my $id = value("SELECT error_id FROM fraud.ingest_errors WHERE transaction_id = 'bad-22012'");
like(value("SELECT * FROM fraud.retry_dead_letters(ids => ARRAY[$id, 999999])"), qr/^$id\|locked\|source a: could not compute.*\n999999\|not found\|$/, 'one that another session has locked, and one that is not there, are said to be');
$held->query_safe('ROLLBACK');
$held->quit;
is(value("BEGIN; SELECT outcome FROM fraud.retry_dead_letters(ids => ARRAY[$id]); ROLLBACK"), 'received', 'tried again in a transaction that is taken back');
is(places('bad-22012') . value("SELECT count(*) FROM fraud.ingest_errors WHERE error_id = $id"), '11', 'it is where it was');
my $other = value("SELECT min(error_id) FROM fraud.ingest_errors WHERE source = 'a' AND error_id <> $id AND occurred_at IS NOT NULL");
my $busy = $node->background_psql('postgres');
$busy->query_safe('BEGIN');
$busy->query_safe("SELECT fraud.retry_dead_letters(ids => ARRAY[$id])");
is(value("BEGIN; SET LOCAL lock_timeout = '2s'; SELECT outcome FROM fraud.retry_dead_letters(ids => ARRAY[$other]); ROLLBACK"), 'received', 'of two who send letters of one source again neither waits');
$busy->query_safe('ROLLBACK');
$busy->quit;
is(value("SELECT outcome FROM fraud.retry_dead_letters(ids => ARRAY[$id])"), 'received', 'tried again while its fault lasts');
ok($node->poll_query_until('postgres', "SELECT count(*) = 1 FROM fraud.ingest_errors WHERE transaction_id = 'bad-22012' AND error_id <> $id"), 'it is a dead letter anew');
is(places('bad-22012'), '1', 'once');
my $received = value("SELECT received_at FROM fraud.ingest_errors WHERE transaction_id = 'bad-22012'");
value(q{SELECT fraud.drop_feature('payments', 'touchy')});
ok(stored('bad-55P03'), 'the one that waited is stored when it can be');
is(value(q{SELECT outcome || ' ' || count(*) FROM fraud.retry_dead_letters(source => 'a', reason => 'could not compute feature "touchy"%') GROUP BY outcome ORDER BY outcome}), 'received ' . (@states - 3) . "\n" . 'rejected 1', 'all of a reason are sent again, but for the one that was stored with another amount meanwhile');
is(value(q{SELECT count(*) FROM fraud.retry_dead_letters(reason => '%')}), '3', 'and the rest');
is(value(q{SELECT DISTINCT detail FROM fraud.retry_dead_letters(reason => '%')}), 'the payment differs from the stored payment of this id: it has another amount', 'it says why');
value('DELETE FROM fraud.ingest_errors');
ok($node->poll_query_until('postgres', $empty), 'they are scored');
is(value("SELECT count(*) || ' ' || count(DISTINCT transaction_id) FROM fraud.transactions WHERE transaction_id LIKE 'bad-%'"), (@states + 1) . ' ' . (@states + 1), 'and stored, once each');
is(value("SELECT count(*) FROM fraud.ingest_errors"), '0', 'no letter is left');
is(value("SELECT received_at = '$received' FROM fraud.transactions WHERE transaction_id = 'bad-22012'"), 't', 'they count as received when they were');
is(value("SELECT count(*) FROM fraud.customer_ids i JOIN fraud.transactions t USING (card) WHERE t.transaction_id = 'bad-22012' AND i.kind = 'card'"), '1', 'the customer is found by the number');
serve([ 3, 'after', amt => '4.02' ]);
ok(stored('after'), 'and his next payment');
is(value("SELECT count(DISTINCT card) FROM fraud.transactions WHERE transaction_id IN ('after', 'bad-22012')"), '1', 'is of the same customer');

# ------------------------------------------- windows too large, a check, a trigger of somebody's
# As many payments of one merchant as do not fit into the least memory.
value(q{INSERT INTO fraud.transactions (card, transaction_id, occurred_at, amount, currency, base_amount, merchant, source, features) SELECT gen_random_uuid(), 'crowd' || i, now() - i * interval '1 second', 1, 'USD', 1, 'Crowd', 'sql', '{}' FROM generate_series(1, 40000) i});
value("ALTER TABLE fraud.transactions ADD CONSTRAINT sober CHECK (merchant <> 'Bar')");
value(q{CREATE FUNCTION public.no_mondays() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.merchant = 'Monday' THEN RAISE EXCEPTION 'closed on Mondays'; END IF; RETURN NEW; END $$;
CREATE TRIGGER no_mondays BEFORE INSERT ON fraud.transactions FOR EACH ROW EXECUTE FUNCTION public.no_mondays()});
reload_with($node, 'fraud_detect.feature_memory', '1MB');
serve((map { [ 200 + $_, "one-$_", merchant => '"Shop ' . $_ . '"' ] } 1 .. 17), [ 218, 'one-18', merchant => '"Crowd"' ], [ 219, 'one-19', merchant => '"Bar"' ], [ 220, 'one-20', merchant => '"Monday"' ]);
ok(stored("one-$_"), "one-$_ is stored") for 1, 17;
ok(stored('one-18'), 'one whose windows do not fit into the memory is stored, too: its events are read one after the other');
ok($node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM fraud.ingest_errors WHERE transaction_id = 'one-19' AND reason LIKE '%violates check constraint "sober"%'}), 'a check is told');
ok($node->poll_query_until('postgres', "SELECT count(*) = 1 FROM fraud.ingest_errors WHERE transaction_id = 'one-20'"), "so is what somebody's trigger forbids");
is(value("SELECT reason FROM fraud.ingest_errors WHERE transaction_id = 'one-20'"), 'closed on Mondays', 'in its own words');
is(value("SELECT count(*) FROM fraud.transactions WHERE transaction_id LIKE 'one-%'"), '18', 'the others are stored');
reload_with($node, 'fraud_detect.feature_memory', '32MB');
value('ALTER TABLE fraud.transactions DROP CONSTRAINT sober; DROP TRIGGER no_mondays ON fraud.transactions');
# One that the feed repeats at this moment is counted just now, and passed over.
my $sent = 0;
for (1 .. 100) {
    $sent += value(q{SELECT count(*) FROM fraud.retry_dead_letters(source => 'a') WHERE outcome = 'received'});
    last if $sent >= 2;
    usleep(100_000);
}
is($sent, 2, 'without them they are received');
ok(stored("one-$_"), "one-$_ is stored too") for 19, 20;
# A merchant that cannot be written keeps no other back.
value("ALTER TABLE fraud.merchants ADD CONSTRAINT sober CHECK (merchant <> 'Pub') NOT VALID");
serve([ 230, 'pub', merchant => '"Pub"' ], [ 231, 'tea', merchant => '"Tea Room"' ]);
ok($node->poll_query_until('postgres', "SELECT count(*) = 1 FROM fraud.merchants WHERE merchant = 'Tea Room'"), 'nor does a merchant that cannot be written');
ok($node->log_contains('could not add a merchant: .*violates check constraint "sober"'), 'which the log tells');

# ------------------------------------------------- what was rejected when it was received
serve([ 240, 'five', amt => '"five"' ], [ 0, 'masked', cc_num => '"4000 0000 0000 00x2"' ]);
ok($node->poll_query_until('postgres', 'SELECT count(*) = 2 FROM fraud.ingest_errors'), 'two are rejected when they are received');
my ($five, $masked) = split /\n/, value("SELECT error_id FROM fraud.ingest_errors ORDER BY transaction_id");
serve();
like(value("SELECT outcome, detail FROM fraud.retry_dead_letter($five)"), qr/^rejected\|amt is "five"/, 'what cannot be read is rejected again');
is(value("SELECT outcome FROM fraud.retry_dead_letter($five, '{\"amt\": 5, \"no_such\": null}')"), 'received', 'repaired it is taken');
ok(stored('five'), 'and stored');
is(value("SELECT amount = 5 AND last_four = '4320' FROM fraud.transactions JOIN fraud.customers USING (card) WHERE transaction_id = 'five'"), 't', 'with the customer that it had');
is(value("SELECT outcome, detail FROM fraud.retry_dead_letters(ids => ARRAY[$masked])"), 'not repairable|its card number could not be read, and is not kept', 'one whose card is masked cannot be repaired by itself');
is(value("SELECT outcome FROM fraud.retry_dead_letter($masked, jsonb_build_object('card', (SELECT card FROM fraud.transactions WHERE transaction_id = 'five')))"), 'received', 'but with a card');
ok(stored('masked'), 'it is stored');
serve_text('[' . payment(trans_num => '"cut-1"') . ',{"cc_num":400000' . 'x' x 2000);
ok($node->poll_query_until('postgres', 'SELECT count(*) > 0 FROM fraud.ingest_errors'), 'a body that is cut');
serve();
like(value("SELECT outcome || ' ' || detail FROM fraud.retry_dead_letters(source => 'a') ORDER BY 1 LIMIT 1"), qr/^not repairable (only the first \d+ of \d+ bytes are kept|it is not one payment|its card)/, 'says what is missing');
is(value("SELECT count(*) > 5 AND count(*) FILTER (WHERE new ? 'outcome' OR new ? 'outcomes') = count(*) FROM fraud.audit_log WHERE action = 'retry' AND object_kind LIKE 'dead letter%'"), 't', 'each is noted in the audit log');

# --------------------------------------------------------------- without workers
my $alone = new_server('alone', preload => 0);
my $bad = q{SELECT fraud.ingest('[{"cc_num": 4000000000000002, "trans_num": "w1", "amt": 5, "merchant": "M", "unix_time": 1700000000}, {"cc_num": 4000000000000010, "trans_num": "w2", "amt": 13.13, "merchant": "M", "unix_time": 1700000000}]')};
$alone->safe_psql('postgres', q{SELECT fraud.add_feature('payments', 'inverse', '1 / (amount - 13.13)')});
my ($status, $out, $error) = $alone->psql('postgres', $bad);
like($error, qr/^psql:<stdin>:1: ERROR:  could not compute feature "inverse" of payment "w2": division by zero$/m, 'fraud.ingest names the payment and the feature');
is($alone->safe_psql('postgres', 'SELECT count(*) FROM fraud.transactions'), '0', "and stores nothing: the transaction is its caller's");
$alone->safe_psql('postgres', q{SELECT fraud.ingest('{"cc_num": 4000000000000002, "trans_num": "w1", "amt": "x", "merchant": "M", "unix_time": 1700000000}')});
is($alone->safe_psql('postgres', q{SELECT outcome, detail FROM fraud.retry_dead_letter((SELECT max(error_id) FROM fraud.ingest_errors), '{"amt": 13.13}')}), 'rejected|could not compute feature "inverse" of payment "w1": division by zero', 'a letter that fails again stays');
is($alone->safe_psql('postgres', q{SELECT outcome FROM fraud.retry_dead_letter((SELECT max(error_id) FROM fraud.ingest_errors), '{"amt": 13}')}), 'stored', 'one that does not is stored at once');
is($alone->safe_psql('postgres', q{SELECT (SELECT count(*) FROM fraud.transactions) || ' ' || (SELECT count(*) FROM fraud.ingest_errors) || ' ' || (SELECT count(*) FROM fraud.merchants)}), '1 0 1', 'with its merchant, and leaves the list');

done_testing();
