# Each item of fraud.health() that docs/operations.md lists is made a warning or an error: here, where it takes time by a clock that is set
# forward (test/clock), or in the test that is named. An item that is new and made nowhere is missed.
use strict;
use warnings;

use FraudDetect;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use ServerClock;
use Test::More;

my %clock = clock_environment() or plan skip_all => 'no C compiler, for the library that sets the clock of a server';

my $node = new_server('main', extension => 0, init => { allows_streaming => 1 }, conf => <<'CONF');
max_prepared_transactions = 5
fraud_detect.health_interval = 0
fraud_detect.worker_patience = 2s
wal_receiver_status_interval = 1s
wal_sender_timeout = 0
wal_receiver_timeout = 0
CONF
$node->stop('fast');
{
    local %ENV = (%ENV, %clock);
    $node->start;
}
sub value { return $node->safe_psql('postgres', $_[0]) }
value('CREATE EXTENSION fraud_detect');
my %made;    # items, by what they begin with
sub item { my ($item, $with) = @_; return value(($with // '') . "SELECT status || ' | ' || detail || coalesce(' | ' || advice, '') FROM fraud.health() WHERE item = '$item'") }
sub becomes
{
    my ($item, $pattern, $what) = @_;
    my $ok = wait_for(sub { item($item) =~ $pattern }, $what, 60);
    ok($ok, "$item: $what") or diag(item($item));
    $made{$item} = 1;
}
# What is said of it in a transaction that is taken back.
sub within
{
    my ($item, $sql, $pattern, $what) = @_;
    like(item($item, "BEGIN; $sql; "), $pattern, "$item: $what");
    $made{$item} = 1;
}
sub pid_of { return value("SELECT pid FROM pg_stat_activity WHERE backend_type = 'fraud_detect $_[0]' AND (datname = current_database() OR datname IS NULL) LIMIT 1") }
my $payment = q{'{"cc_num": 4000000000000002, "trans_num": "%s", "amt": %s, "merchant": "M", "unix_time": %s}'};
sub ingest { my ($id, $amount, $time) = @_; return value(sprintf("SELECT status FROM fraud.ingest($payment)", $id, $amount, $time)) }
my $now = time;

# ------------------------------------------------------------------ what is there at once
is(ingest('first', 5, $now), 'stored', 'a payment is stored');
is(ingest('unread', '"x"', $now), 'rejected', 'another is not');
becomes('dead letters', qr/^warning \| 1 in the last 24 hours \| .*fraud.retry_dead_letters/, 'there are some');
value('SELECT fraud.refresh_rollups()');
within('report time zone', "SET LOCAL fraud_detect.report_timezone = 'Asia/Tokyo'", qr/^warning \| the reports count days of UTC, fraud_detect.report_timezone is Asia\/Tokyo \| call fraud.rebuild_rollups/, 'it was changed');
within('model payments@champion', "SET LOCAL session_replication_role = replica; DELETE FROM fraud.promotions", qr/^error \| there is none: payments cannot be scored \| fraud.promote/, 'nobody scores payments');
within('transaction ids', "SET LOCAL allow_system_table_mods = on; UPDATE pg_database SET datfrozenxid = ((pg_current_xact_id()::text::bigint + 4294967296 - 1100000000) % 4294967296)::text::xid WHERE datname = current_database()",
    qr/^warning \| the oldest is 1100 million ago, of 2147 \| VACUUM FREEZE/, 'old ones');
within('transaction ids', "SET LOCAL allow_system_table_mods = on; UPDATE pg_database SET datfrozenxid = ((pg_current_xact_id()::text::bigint + 4294967296 - 1900000000) % 4294967296)::text::xid WHERE datname = current_database()",
    qr/^error \| the oldest is 1900 million/, 'too old ones');
like(value("SELECT status, detail, advice FROM fraud._notify_queue_health($_->[0])"), $_->[1], "notification queue: $_->[0]")
  for [ 0.05, qr/^ok\|5.0 % full\|$/ ], [ 0.2, qr/^warning\|20.0 % full: a session that listens sits in a transaction.*\|the one of them that listens/ ], [ 0.95, qr/^error\|95.0 % full/ ];
$made{'notification queue'} = 1;

# ------------------------------------------------------------------ workers that do not answer
for ([ 'notify', qr/^error \| does not answer \(pid (\d+)\): .*so nobody is told \| .*pg_terminate_backend/ ],
    [ 'scorer', qr/^error \| .*so what was received is not scored \| / ], [ 'launcher', qr/^error \| does not answer/ ], [ 'ingest', qr/^error \| does not answer.*so no source is polled/ ])
{
    my ($worker, $pattern) = @$_;
    my @pids = split /\n/, value("SELECT pid FROM pg_stat_activity WHERE backend_type LIKE 'fraud_detect $worker%' AND (datname = current_database() OR datname IS NULL)");
    cmp_ok(scalar @pids, '>', 0, "there is a worker: $worker");
    kill 'STOP', @pids;
    value("SELECT fraud._wake_notify_worker()") if $worker eq 'notify';
    becomes('worker ' . ($worker eq 'scorer' ? 'scorers' : $worker), $pattern, 'it does not answer');
    kill 'CONT', @pids;
}

# ------------------------------------------------------------------ what takes time
my $reader = $node->background_psql('postgres');
$reader->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM pg_class');
value("BEGIN; CREATE TABLE prepared (); PREPARE TRANSACTION 'old'");
my $holder = $node->background_psql('postgres');
$holder->query_safe('CREATE TABLE wanted (); BEGIN; LOCK TABLE wanted');
my $waiter = $node->background_psql('postgres');
$waiter->query_until(qr/asked/, "\\echo asked\nSELECT count(*) FROM wanted;\n");
ok(wait_for(sub { value("SELECT count(*) FROM pg_locks WHERE NOT granted AND waitstart IS NOT NULL") eq '1' }, 'waits'), 'somebody waits');
like(item('locks'), qr/^ok /, 'locks: not yet for long');
# Of two messages in a minute the second waits, then the worker stands still, and what comes is not addressed.
value("SELECT fraud.add_channel('slow', 'notify', 'nobody', max_per_minute => 1); SELECT fraud.test_channel('slow'); SELECT fraud.test_channel('slow')");
ok(wait_for(sub { value("SELECT waiting FROM fraud.channel_status WHERE name = 'slow' AND delivered = 1") eq '1' }, 'one waits'), 'a delivery waits for its minute');
my $notifier = pid_of('notify');
kill 'STOP', $notifier;
value("SELECT fraud.test_channel('slow')");
set_clock(200);
becomes('locks', qr/^error \| 1 sessions wait longer than 5 seconds; session \d+ has for .* for public.wanted, behind \d+/, 'after a minute');
becomes('channel slow', qr/^warning \| deliveries are late, the first by .* \| see the item worker notify/, 'after two minutes');
like(item('prepared transactions'), qr/^ok /, 'prepared transactions: not yet for long');
set_clock(400);
becomes('prepared transactions', qr/^warning \| 1, the oldest \(old, of postgres\) since .*: it keeps its locks \| COMMIT PREPARED 'old'/, 'after five minutes');
becomes('channel slow', qr/^error \| deliveries are late/, 'after five minutes');
becomes('outbox', qr/^error \| messages wait to be addressed, the oldest for .* \| see the item worker notify/, 'after five minutes');
like(item('snapshots'), qr/^ok /, 'snapshots: not yet for long');
set_clock(4000);
becomes('prepared transactions', qr/^error \| 1, the oldest/, 'after an hour');
becomes('snapshots', qr/^warning \| session \d+ \(postgres\) keeps a snapshot since .* \| let it end, or pg_terminate_backend/, 'after an hour');
kill 'CONT', $notifier;
$holder->query_safe('COMMIT');
$reader->query_safe('COMMIT');
$_->quit for $reader, $holder, $waiter;
value("ROLLBACK PREPARED 'old'");
becomes($_, qr/^ok /, 'mended') for 'locks', 'snapshots', 'prepared transactions', 'outbox', 'channel slow';

# ------------------------------------------------------------------ a standby that falls behind
$node->backup('copy');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'copy', has_streaming => 1);
$standby->start;
becomes('standby standby', qr/^ok \| streaming/, 'it follows');
$standby->safe_psql('postgres', 'SELECT pg_wal_replay_pause()');
ok(wait_for(sub { $standby->safe_psql('postgres', 'SELECT pg_get_wal_replay_pause_state()') eq 'paused' }, 'paused'), 'a standby stands still');
value('CREATE TABLE not_there_yet ()');
ok(wait_for(sub { value('SELECT replay_lag IS NOT NULL FROM pg_stat_replication') eq 't' }, 'a lag'), 'and is behind');
set_clock(4100);
becomes('standby standby', qr/^warning \| streaming, async, .* behind \| pg_stat_replication says where it hangs/, 'after a minute');
set_clock(4500);
becomes('standby standby', qr/^error \| streaming, async, .* behind/, 'after five minutes');
$standby->safe_psql('postgres', 'SELECT pg_wal_replay_resume()');
$standby->stop('immediate');

# ------------------------------------------------------------------ upkeep
is(value("SELECT count(*) FROM fraud.close_due_days((now() - interval '3 days')::date)") > 0, 1, 'days are closed');
like(item('closed days'), qr/^ok \| last /, 'closed days: they are');
# Who has written events and does not end has their tiles wait.
value(q{CREATE TABLE public.events AS SELECT i AS id, now() - i * interval '1 minute' AS at, 'k' AS key, 1.5 AS amount FROM generate_series(1, 6000) i;
    SELECT fraud.create_feature_set('events', 'public.events', 'id', 'at'), fraud.add_window_feature('events', 'spent', 'sum', 'amount', 'key', '30 days'), fraud.tile_features('events')});
my $writer = $node->background_psql('postgres');
$writer->query_safe("BEGIN; INSERT INTO public.events VALUES (0, now(), 'k', 1)");
is(value("SELECT fraud.request_tiles('events')"), '1', 'tiles of a key are asked for');
ok($node->poll_query_until('postgres', "SELECT count(*) = 1 FROM fraud.tile_status WHERE wanted"), 'and wait');
like(item('tiles'), qr/^ok /, 'tiles: not yet for long');
set_clock(2 * 86400 + 4500);
becomes('tiles', qr/^warning \| a key of feature set events is \d+ events behind its tiles, .*they wait for the transactions of processes \d+ \| see the item locks/, 'after ten minutes');
becomes('closed days', qr/^error \| \d+ are due and not closed, from .* on \| call fraud.close_due_days/, 'two days later');
$writer->query_safe('COMMIT');
$writer->quit;
becomes('tiles', qr/^ok /, 'mended');
my $ingest = pid_of('ingest');
kill 'STOP', $ingest;
set_clock(100 * 86400);
becomes('partitions', qr/^warning \| a month of the next seven days has none yet \| is a worker running/, 'where no worker makes months');
kill 'CONT', $ingest;
becomes('partitions', qr/^ok /, 'a worker does');
ingest("old-$_", 5, $now - $_ * 31 * 86400) for 3 .. 8;
reload_with($node, 'fraud_detect.transaction_retention', '90d');
becomes('retention', qr/^warning \| \d+ months are past .* \| see the item job retention/, 'months stay');
reload_with($node, 'fraud_detect.transaction_retention', '0');
value("SELECT setval('fraud.change_ids', nextval('fraud.change_ids') + 200000)");
becomes('rollups', qr/^warning \| about \d+ changes are queued.* \| the views are slow: call fraud.refresh_rollups/, 'much is queued');

# ------------------------------------------------------------------ and all the others
# Where else an item is made what it should not be, and words that the test has then.
my %elsewhere = (
    library => [ 'test/t/062_health.pl', qr/item = 'library'/ ], 'source …' => [ 'test/t/062_health.pl', qr/becomes\('source a', qr\/\^error/ ], inbox => [ 'test/t/033_letters.pl', qr/item = 'inbox'.*'error'/ ],
    decisions => [ 'test/t/062_health.pl', qr/item\('decisions'\), qr\/\^error/ ], deliveries => [ 'test/t/064_seams.pl', qr/deliveries/ ], features => [ 'test/t/062_health.pl', qr/item\('features'\), qr\/\^error/ ],
    'stream …' => [ 'sql/watch.sql', qr/item = 'stream claims'/ ], 'card key' => [ 'test/t/027_card_keys.pl', qr/card key/ ], 'card numbers' => [ 'test/t/027_card_keys.pl', qr/card numbers/ ], training => [ 'test/t/062_health.pl', qr/\^warning \\\| run 1 of model/ ],
    'synchronous standby' => [ 'test/t/062_health.pl', qr/synchronous standby error/ ], 'replication slot …' => [ 'test/t/062_health.pl', qr/slot\('reader'\), qr\/\^warning/ ], 'rule …' => [ 'sql/rules.sql', qr/item = 'rule ru_fails'/ ],
    restore => [ 'test/t/075_restore.pl', qr/restore/ ], pg_cron => [ 'test/t/021_cron.pl', qr/pg_cron/ ], 'job …' => [ 'test/t/062_health.pl', qr/item\('job rollups'\), qr\/\^error/ ],
    health => [ 'test/t/064_seams.pl', qr/'health'/ ], size => undef);    # size is never but ok
my ($table) = slurp_file("$ENV{FRAUD_TREE}/docs/operations.md") =~ /^\| item \| an error, or a warning, when \|\n(.*?)\n\n/ms or die 'no table of items';
for my $name (map { /`([^`]+)`/g } map { (split /\|/)[1] } grep { /^\| `/ } split /\n/, $table)
{
    my $place = $elsewhere{$name};
    next if exists $elsewhere{$name} && !$place;
    my $begins = $name =~ s/ …$//r;
    $begins = "worker $begins" if $name =~ /^(ingest|notify|scorers)$/;
    ok((grep { /^\Q$begins\E/ } keys %made) || ($place && slurp_file("$ENV{FRAUD_TREE}/$place->[0]") =~ $place->[1]), "item \"$name\" is made what it should not be");
}

done_testing();
