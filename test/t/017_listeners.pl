# NOTIFY fraud_alerts: a hint that says nothing private, sent by the notify worker and not in
# the payment's commit; nothing is lost, nothing told twice.
use strict;
use warnings;

use FraudDetect;
use JSON::PP;
use PostgreSQL::Test::Utils;
use Receivers;
use Test::More;

my $dir = PostgreSQL::Test::Utils::tempdir();
my $receiver = start_receiver($dir);
my $node = new_server('main', conf => "fraud_detect.max_retry_delay = 1s\nrestart_after_crash = on\nmax_prepared_transactions = 2\n");
sub value { return $node->safe_psql('postgres', $_[0]) }
value("SELECT fraud.promote('payments', 1, review_at => 0, block_at => 1)");
ok($node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'fraud_detect notify'"), 'the worker is there');

# A session that listens all the time.
my ($in, $out, $err) = ('', '', '');
my $listener = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres') ], '<', \$in, '>', \$out, '2>', \$err, IPC::Run::timeout(300));
$in .= "LISTEN fraud_alerts; LISTEN fraud_team; SELECT 'listens';\n";
$listener->pump until $out =~ /listens/;

# Returns what has been heard since the last time, as [channel, payload].
sub heard
{
    my $mark = 'mark ' . rand;
    $in .= "SELECT '$mark';\n";
    $listener->pump until $out =~ /\Q$mark\E\n/;
    $in .= "SELECT 1;\n";
    $out =~ s/\A(.*?\Q$mark\E\n)//s;
    my $before = $1;
    return map { /^Asynchronous notification "(\w+)" with payload "(.*)" received/ ? [ $1, $2 ] : () } split /\n/, $before;
}

sub hears
{
    my ($number, $what, $channel) = @_;
    my @all;
    ok(wait_for(sub { push @all, grep { $_->[0] eq ($channel // 'fraud_alerts') } heard(); @all >= $number }, $what), $what);
    return map { decode_json($_->[1]) } @all;
}

my $number = 0;
sub raise_alerts
{
    my ($count, %fields) = @_;
    my @payments = map { ++$number; payment(trans_num => qq("l-$number"), current_time => 1700000000000 + $number, merchant => '"A Secret Shop"', %fields) } 1 .. $count;
    return 'SELECT count(*) FROM fraud.ingest($x$[' . join(',', @payments) . ']$x$)';
}

# ------------------------------------------------------------------ what it says
value(raise_alerts(1));
my ($hint) = hears(1, 'a listener hears of an alert, though nobody added a channel');
is_deeply($hint, { kind => 'alert', alert_id => value('SELECT alert_id FROM fraud.alerts'), case_id => value('SELECT case_id FROM fraud.cases'), decision => 'review' },
    'ids and the decision, and nothing else');
value('CREATE ROLE clerk LOGIN; CREATE ROLE stranger LOGIN');
value("SELECT fraud.grant_access('clerk', 'analyst')");
is(value("SET ROLE clerk; SELECT transaction_id, merchant, amount, last_four, case_status FROM fraud.alert($hint->{alert_id})"), 'l-1|A Secret Shop|12.50|0002|open', 'who may read looks the rest up');
my (undef, undef, $error) = $node->psql('postgres', "SET ROLE stranger; SELECT * FROM fraud.alert($hint->{alert_id})");
like($error, qr/permission denied/, 'others do not');
value('BEGIN; ' . raise_alerts(1) . '; ROLLBACK');
value(raise_alerts(1));
is(scalar(hears(1, 'the next alert is heard')), 1, 'nobody hears of what was rolled back');

# ------------------------------------------------- not in the payment's commit
my $pid = value("SELECT pid FROM pg_stat_activity WHERE backend_type = 'fraud_detect notify'");
kill 'STOP', $pid;
is(value(raise_alerts(3)), '3', 'payments are stored while the worker stands still');
is(value("SELECT count(*) FROM fraud.outbox WHERE kind = 'alert' AND notified_at IS NULL"), '3', 'the hints wait in the outbox');
is(scalar(heard()), 0, 'nobody hears a thing yet');
ok(crash($node, $pid), 'the worker is killed');
# The listener's session ended with all others when the worker was killed.
$listener->kill_kill;
($in, $out, $err) = ('', '', '');
ok($node->poll_query_until('postgres', 'SELECT count(*) = 0 FROM fraud.outbox WHERE notified_at IS NULL'), 'and nothing is lost: another tells');
$listener = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres') ], '<', \$in, '>', \$out, '2>', \$err, IPC::Run::timeout(300));
$in .= "LISTEN fraud_alerts; LISTEN fraud_team; SELECT 'listens';\n";
$listener->pump until $out =~ /listens/;

# A payment can be part of a prepared transaction, which a NOTIFY could not.
value('BEGIN; ' . raise_alerts(1) . "; PREPARE TRANSACTION 'two phases'");
is(scalar(heard()), 0, 'what is prepared is not heard of');
value("COMMIT PREPARED 'two phases'");
value(raise_alerts(1));
is(scalar(hears(2, 'when it is committed it is')), 2, 'once');

# ---------------------------------------------------------------------- many
my $many = 700;
value("SELECT fraud.add_channel('team', 'notify', 'fraud_team', repeats => true)");
value(raise_alerts($many));
my @hints = hears($many, 'each of many alerts is heard');
is(scalar(keys %{ { map { $_->{alert_id} => 1 } @hints } }), $many, 'each once');
is(scalar(@hints), $many, 'and none twice');
my @told = hears(0, 'a channel of kind notify', 'fraud_team');
ok($node->poll_query_until('postgres', "SELECT count(*) = $many FROM fraud.notifications WHERE channel = 'team' AND state = 'delivered'"), 'all go to the channel');
cmp_ok(value("SELECT count(DISTINCT xmin::text) FROM fraud.notifications WHERE channel = 'team'"), '<', $many / 20, 'many in one transaction');

# ------------------------------------------------- a NOTIFY that cannot be sent
# As when the queue is full, which would take 8 GB here. It delays itself alone.
value("SELECT fraud.drop_channel('team'); SELECT fraud.add_channel('hook', 'webhook', '$receiver->{url}/ok-hook', repeats => true)");
value(q(CREATE FUNCTION is_full() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'too many notifications in the NOTIFY queue' USING ERRCODE = 'program_limit_exceeded'; END $$;
    CREATE TRIGGER is_full BEFORE UPDATE OF notified_at ON fraud.outbox FOR EACH ROW EXECUTE FUNCTION is_full()));
value(raise_alerts(2));
ok($node->poll_query_until('postgres', "SELECT delivered = 2 FROM fraud.channel_status WHERE name = 'hook'"), 'webhooks go all the same');
is(value('SELECT count(*) FROM fraud.outbox WHERE notified_at IS NULL'), '2', 'hints wait');
is($node->safe_psql('postgres', raise_alerts(1)), '1', 'and payments are stored');
value('DROP FUNCTION is_full CASCADE');
is(scalar(hears(3, 'then they are told')), 3, 'each once');
my @failures = slurp_file($node->logfile) =~ /could not notify the listeners of fraud_alerts: too many notifications in the NOTIFY queue/g;
is(scalar(@failures), 1, 'the log says so once');
is(value("SELECT pid FROM pg_stat_activity WHERE backend_type = 'fraud_detect notify' AND backend_start < now() - interval '1 s'") ne '', 1, 'the worker lives on');

# So does a delivery to a channel that cannot be made: it keeps no other back.
value("SELECT fraud.add_channel('team', 'notify', 'fraud_team', repeats => true); SELECT fraud.add_channel('bad', 'notify', 'x', repeats => true)");
value("UPDATE fraud.channels SET target = repeat('x', 70) WHERE name = 'bad'");
heard();
value(raise_alerts(3));
is(scalar(hears(3, 'a channel that can be told is told', 'fraud_team')), 3, 'each once');
ok($node->poll_query_until('postgres', "SELECT last_error = 'could not notify: channel name too long' FROM fraud.channel_status WHERE name = 'bad'"), 'the other says what is wrong');
value("SELECT fraud.drop_channel('bad'); SELECT fraud.drop_channel('team')");

# ------------------------------------------------------------ the old payload
value("SELECT fraud.add_channel('team', 'notify', 'fraud_team', repeats => true)");
value(raise_alerts(1));
my ($from_channel) = hears(1, 'a channel of kind notify is heard', 'fraud_team');
is_deeply([ sort keys %$from_channel ], [qw(alerts count created_at digest id kind)], 'it says no more');
is_deeply([ sort keys %{ $from_channel->{alerts}[0] } ], [qw(alert_id case_id decision)], 'than ids and decisions');
heard();
$node->append_conf('postgresql.conf', "fraud_detect.notify_payload = full");
$node->reload;
ok(wait_for(sub { value(raise_alerts(1)); grep { $_->{merchant} // '' eq 'A Secret Shop' } map { decode_json($_->[1]) } heard() }, 'full'), 'the setting brings the whole alert back');
unlike($out, qr/4000000000000002/, 'without a card number');
$listener->kill_kill;

# --------------------------------------------------------- without the preload
my $bare = new_server('bare', preload => 0);
$bare->safe_psql('postgres', "SELECT fraud.promote('payments', 1, review_at => 0, block_at => 1)");
my $output = $bare->safe_psql('postgres', 'LISTEN fraud_alerts; ' . raise_alerts(1) . '; SELECT pg_sleep(0.5); SELECT 1');
unlike($output, qr/Asynchronous/, 'without the preload nothing is notified');
is($bare->safe_psql('postgres', 'SELECT count(*) FROM fraud.outbox WHERE notified_at IS NULL'), '1', 'it waits in the outbox');

done_testing();
