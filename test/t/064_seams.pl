# Health where its halves meet, and at three in the morning: an empty installation, another database's
# waits, the way a session writes numbers and dates, looks that are far apart, a health channel whose own
# deliveries are given up, states that come and go.
use strict;
use warnings;

use FraudDetect;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Receivers;
use Test::More;

my $dir = PostgreSQL::Test::Utils::tempdir();
my $receiver = start_receiver($dir);
my $node = new_server('main', conf => "fraud_detect.health_interval = 0\nfraud_detect.notify_attempts = 1\nfraud_detect.connect_timeout = 500ms\n");
sub value { return $node->safe_psql('postgres', $_[0]) }
sub item { my ($item) = @_; return value("SELECT status || ' | ' || detail || coalesce(' | ' || advice, '') FROM fraud.health() WHERE item = '$item'") }

# ------------------------------------------------------- an empty installation
is(value("SELECT string_agg(item, ', ') FROM fraud.health() WHERE status = 'error'"), '', 'a new installation has no error');
like(item('partitions'), qr/^ok \| not needed yet: there are neither sources nor payments/, 'months are not missed before there is a payment');
value("SELECT fraud.notify_health()");
is(value('SELECT count(*) FROM fraud.outbox'), '0', 'and nobody is told of anything');

# --------------------------------------------------- waits of another database
$node->safe_psql('postgres', 'CREATE DATABASE other');
my @sessions;
for my $database (qw(other postgres))
{
    $node->safe_psql($database, 'CREATE TABLE public.t AS SELECT 1 AS i');
    my ($holder, $waiter) = map { $node->background_psql($database) } 1 .. 2;
    $holder->query_safe('BEGIN; UPDATE public.t SET i = 2');
    $waiter->query_until(qr/asked/, "\\echo asked\nUPDATE public.t SET i = 3;\n");
    $node->poll_query_until('postgres', "SELECT count(*) = @{[1 + @sessions / 2]} FROM pg_locks WHERE NOT granted") or die;
    push @sessions, $holder, $waiter;
}
ok(wait_for(sub { item('locks') =~ /^(warning|error) \| 1 sessions wait longer than 5 seconds/ }, 'locks', 60), 'who waits longest in another database hides nobody of this one') or diag(item('locks'));
$_->query_safe('COMMIT') for @sessions[ 0, 2 ];
$_->quit for @sessions;

# ------------------------------------------------- however a session writes it
my $odd = "SET timezone = 'Pacific/Kiritimati'; SET datestyle = 'German, DMY'; SET intervalstyle = 'iso_8601'; SET extra_float_digits = -15; ";
my $text = "SELECT string_agg(item || ' ' || detail, chr(10)) FROM fraud.health() WHERE item !~ '^(worker|size)'";
value("SELECT fraud.expect_payments('till', '26 hours'); UPDATE fraud.source_habits SET last_new_at = now() - interval '2 days'; INSERT INTO fraud.closing (first_day) SELECT current_date - 3");
is(value($odd . $text), value($text), 'health says the same however a session writes dates and times');
like(value($text), qr/^source till no new payment since .*, one is expected within 26:00:00$/m, 'a duration as ever');
like(value($odd . 'SELECT fraud.metrics()'), qr/^fraud_health_last_look_timestamp_seconds\{database="postgres"\} \d{10}(\.\d+)?$/m, 'and metrics have all digits');
is(value($odd . "SELECT extract(hour FROM since AT TIME ZONE 'UTC') FROM fraud.health() WHERE item = 'closed days'"), '0', 'a day begins in the zone of the reports');
value('DELETE FROM fraud.closing');

# ----------------------------------------------------- looks that are far apart
# Of the silence of a name, after a look that found the last one some time ago.
sub after_look
{
    my ($looked, $new) = @_;
    return value("SELECT fraud.expect_payments('till', '30 minutes'); UPDATE fraud.source_habits SET last_new_at = now() - interval '$new'; UPDATE fraud.health_marks SET looked_at = now() - interval '$looked'; SELECT fraud.notify_health(); SELECT status FROM fraud.health() WHERE item = 'source till'") =~ /(\w+)$/ ? $1 : '';
}
reload_with($node, 'fraud_detect.health_interval', '20min');
is(after_look('20 minutes', '31 minutes'), 'error', 'a silence is one where the health is looked at each 20 minutes');
is(after_look('2 hours', '2 hours'), 'ok', 'the time in which nobody looked is none');
is(after_look('2 hours', '151 minutes'), 'error', 'but that before it is');
reload_with($node, 'fraud_detect.health_interval', '0');
is(after_look('5 minutes 1 second', '31 minutes'), 'error', 'nor is it forgotten where the job looks each 5 minutes');
value("UPDATE fraud.source_habits SET last_new_at = now() - interval '1 day'; UPDATE fraud.health_marks SET looked_at = now() - interval '1 day'");
like(item('source till'), qr/^ok /, 'where nobody has looked since, none is known');
value("SELECT fraud.expect_payments('till', NULL); DELETE FROM fraud.source_habits; SELECT fraud.notify_health()");

# ------------------------------------------ a health channel whose receiver fails
value("SELECT fraud.add_channel('desk', 'webhook', 'http://127.0.0.1:9/', takes => '{health}'), fraud.add_channel('near', 'notify', 'near', takes => '{health}')");
sub told
{
    my ($channel, $what, $item) = @_;
    return value("SELECT count(*) FROM fraud.outbox WHERE channel = '$channel' AND (payload -> '$what' ? '$item' OR payload -> '$what' @> '[{\"item\": \"$item\"}]')");
}
value("CREATE FUNCTION public.fails() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''the purge fails''; END'; CREATE TRIGGER fails BEFORE DELETE ON fraud.ingest_errors EXECUTE FUNCTION public.fails()");
value("SELECT fraud.run_job('purge')");
value("SELECT fraud.notify_health()");
ok($node->poll_query_until('postgres', "SELECT count(*) = 1 FROM fraud.notifications WHERE channel = 'desk' AND state = 'dead'"), 'what the desk is told of is given up');
ok($node->poll_query_until('postgres', "SELECT state = 'failing' FROM fraud.channel_status WHERE name = 'desk'"), 'its receiver fails');
value("UPDATE fraud.health_told SET told_at = now() - interval '2 minutes'; SELECT fraud.notify_health()");
is(told('desk', 'failed', 'job purge'), '1', 'it is not told again while that lasts');
ok($node->poll_query_until('postgres', "SELECT NOT EXISTS (SELECT FROM fraud.notifications WHERE state IN ('pending', 'sending'))"), 'all was tried');
value("SELECT fraud.alter_channel('desk', target => '$receiver->{url}/ok-desk'), fraud.test_channel('desk')");
ok($node->poll_query_until('postgres', "SELECT state = 'ok' FROM fraud.channel_status WHERE name = 'desk'"), 'the receiver is there again');
like(item('channel desk'), qr/^ok \| delivers/, 'so the channel works');
like(item('deliveries'), qr/^error \| \d+ were given up, the last .*, of channel "desk" \| .*fraud.retry_notification/, 'and what was given up is told by itself');
value("UPDATE fraud.health_told SET told_at = now() - interval '2 minutes'; SELECT fraud.notify_health()");
is(told('desk', 'failed', 'job purge'), '2', 'what it has not heard of it is told anew');
is(told('near', 'failed', 'job purge'), '1', 'who has heard of it is not');
wait_for_line($receiver, sub { $_[0]{path} eq '/ok-desk' && $_[0]{body} =~ /job purge/ }, 'now it hears of it');
value("UPDATE fraud.health_told SET told_at = now() - interval '2 minutes'; SELECT fraud.notify_health()");
is(told('desk', 'failed', 'job purge'), '2', 'once');
is(told('near', 'recovered', 'channel desk'), '1', 'others hear that the channel works again');
value("UPDATE fraud.notifications SET finished_at = now() - interval '2 days' WHERE state = 'dead'");
like(item('deliveries'), qr/^warning /, 'what was given up long ago is no error');

# ----------------------------------------------------- states that come and go
for my $time (1 .. 3)
{
    value('DROP TRIGGER fails ON fraud.ingest_errors');
    value("SELECT fraud.run_job('purge')");
    value('SELECT fraud.notify_health()') for 1 .. 3;
    is(told($_, 'recovered', 'job purge'), $time, "$_ hears once that it works again") for qw(desk near);
    value("CREATE TRIGGER fails BEFORE DELETE ON fraud.ingest_errors EXECUTE FUNCTION public.fails()");
    value("SELECT fraud.run_job('purge')");
    value('SELECT fraud.notify_health()') for 1 .. 3;
    is(told($_->[0], 'failed', 'job purge'), $time + $_->[1], "$_->[0] hears once that it does not") for [ 'desk', 2 ], [ 'near', 1 ];
}

# Then it has to stay so for a while, so that what flaps is not a message at each turn.
sub purge_works
{
    my ($works) = @_;
    value($works ? 'DROP TRIGGER fails ON fraud.ingest_errors' : 'CREATE TRIGGER fails BEFORE DELETE ON fraud.ingest_errors EXECUTE FUNCTION public.fails()');
    value("SELECT fraud.run_job('purge')");
    value('SELECT fraud.notify_health()') for 1 .. 3;
}
my $told = told('near', 'failed', 'job purge');
for (1 .. 3) { purge_works(1); purge_works(0) }
is(told('near', 'recovered', 'job purge'), '3', 'one that comes and goes is not told to work again each time');
is(told('near', 'failed', 'job purge'), $told, 'nor that it does not');
purge_works(1);
value("UPDATE fraud.health_told SET better_since = better_since - interval '4 minutes'; SELECT fraud.notify_health()");
is(told('near', 'recovered', 'job purge'), '3', 'not before it has worked for a while');
value("UPDATE fraud.health_told SET better_since = better_since - interval '2 minutes'; SELECT fraud.notify_health()");
is(told('near', 'recovered', 'job purge'), '4', 'then it is');
purge_works(0);
is(told('near', 'failed', 'job purge'), $told + 1, 'and a fault after it is told at once');
purge_works(1);
value("UPDATE fraud.health_told SET better_since = better_since - interval '6 minutes'; SELECT fraud.notify_health()");
is(told('near', 'recovered', 'job purge'), '4', 'the next time it takes longer');
value("UPDATE fraud.health_told SET better_since = better_since - interval '5 minutes'; SELECT fraud.notify_health()");
is(told('near', 'recovered', 'job purge'), '5', 'twice as long');
value("UPDATE fraud.health_told SET told_at = now() - interval '2 days' WHERE item = 'job purge'; SELECT fraud.notify_health()");
is(value("SELECT count(*) FROM fraud.health_told WHERE item = 'job purge'"), '0', 'a day later that is forgotten');
purge_works(0);

# A job that runs each minute and failed once, behind somebody's lock, is tried again.
value("SELECT fraud.run_job('retention'); UPDATE fraud.job_state SET failures = 1, failing_since = now(), last_error = 'in use' WHERE job = 'retention'");
like(item('job retention'), qr/^warning \| failed 1 times in a row: in use/, 'a job that is tried again each minute may fail');
value("UPDATE fraud.job_state SET failures = 3 WHERE job = 'retention'");
like(item('job retention'), qr/^error \| failed 3 times in a row/, 'but not three times');
value("SELECT fraud.run_job('retention')");

# ---------------------------------------------------------------- warnings
value("SELECT fraud.add_channel('watch', 'notify', 'watch', takes => '{health,warning}'), fraud.add_channel('idle', 'notify', 'idle'), fraud.pause_channel('idle')");
value('SELECT fraud.notify_health()') for 1 .. 2;
is(told('watch', 'warned', 'channel idle'), '1', 'a channel that takes warnings hears of one as it comes, once');
is(told('near', 'warned', 'channel idle') + told('near', 'failed', 'channel idle'), '0', 'others do not');
is(told('watch', 'failed', 'job purge'), '1', 'and it hears of errors as the others do');
like(value("SELECT body_text FROM fraud.outbox WHERE channel = 'watch' AND payload ? 'warned' LIMIT 1"), qr/^warning: channel idle: paused.*\n  to do: .*fraud.resume_channel/m, 'with what to do');
value("SELECT fraud.resume_channel('idle'); SELECT fraud.notify_health()");
is(told('watch', 'recovered', 'channel idle'), '1', 'and when it is none any more');
value("SELECT fraud.run_job('retention'); UPDATE fraud.job_state SET failures = 1, failing_since = now(), last_error = 'in use' WHERE job = 'retention'; SELECT fraud.notify_health()");
value("UPDATE fraud.job_state SET failures = 3 WHERE job = 'retention'; SELECT fraud.notify_health()");
is(join(' ', map { told('watch', $_, 'job retention') } qw(warned failed)), '1 1', 'a warning that becomes an error is told again');
is(told('near', 'failed', 'job retention'), '1', 'to the others for the first time');
value("UPDATE fraud.job_state SET failures = 1 WHERE job = 'retention'; SELECT fraud.notify_health()");
is(join(' ', map { told('watch', $_, 'job retention') } qw(warned recovered)), '2 0', 'an error that becomes a warning, too');
is(told('near', 'recovered', 'job retention'), '1', 'which to the others is none');
value("SELECT fraud.run_job('retention'), fraud.drop_channel('watch'), fraud.drop_channel('idle'); SELECT fraud.notify_health()");

# ----------------------------------------- somebody has locked what is looked at
my $holder = $node->background_psql('postgres');
my $by = $holder->query_safe("SELECT fraud.expect_payments('till', '5 minutes'); SELECT pg_backend_pid()") =~ s/^\s+//r;
value("UPDATE fraud.source_habits SET last_new_at = now() - interval '1 hour'; UPDATE fraud.health_marks SET looked_at = now(); SELECT fraud.notify_health()");
is(told('near', 'failed', 'source till'), '1', 'a name is silent');
$holder->query_safe('BEGIN; LOCK TABLE fraud.transactions, fraud.source_habits IN ACCESS EXCLUSIVE MODE');
like(value("SET statement_timeout = '60s'; SELECT status || ' | ' || detail FROM fraud.health() WHERE item = 'health'"),
    qr/^error \| not all could be looked at\. .*sources: somebody has locked.*decisions: somebody has locked.*\. session $by \(/, 'health does not wait for a lock, and says who has it');
is(value("SELECT count(*) FROM fraud.health() WHERE item IN ('locks', 'outbox', 'channel near', 'partitions')"), '4', 'what else there is it says as ever') or diag(value('SELECT * FROM fraud.health()'));
like(value("SET statement_timeout = '60s'; SELECT fraud.metrics()"), qr/^fraud_health_status\{database="postgres",item="health"\} 2$/m, 'metrics do not wait either');
value("SET statement_timeout = '60s'; SELECT fraud.notify_health()");
is(told('near', 'failed', 'health'), '1', 'and people are told');
is(told('near', 'recovered', 'source till'), '0', 'but not that what cannot be seen works again');
$holder->query_safe('COMMIT');
$holder->query_safe("BEGIN; SELECT fraud.expect_payments('till', '2 hours')");
value("SET statement_timeout = '60s'; SELECT fraud.notify_health()");
is(told('near', 'recovered', 'health'), '1', 'that it is seen again they hear, whoever keeps a row locked');
$holder->query_safe('COMMIT');
$holder->quit;
value("SELECT fraud.notify_health()");
is(told('near', 'recovered', 'source till'), '1', 'and that it works again, when that is seen');
value("SELECT fraud.expect_payments('till', NULL)");
value('ALTER FUNCTION fraud._job_health() RENAME TO _job_health_gone');
like(item('health'), qr/^error \| not all could be looked at\. jobs: function fraud\._job_health\(\) does not exist \| mend what the error says/, 'a part that fails hides no other');
value('ALTER FUNCTION fraud._job_health_gone() RENAME TO _job_health');

# ------------------------------------------------ a job that a worker does itself
value("SELECT fraud.run_job('health'); UPDATE fraud.job_state SET succeeded_at = now() - interval '1 hour' WHERE job = 'health'");
like(item('job health'), qr/^error \| late/, 'where nobody else looks the job is late');
reload_with($node, 'fraud_detect.health_interval', '1d');
is(item('job health'), '', 'where the worker does, one that was called by hand is not');

# ------------------------------------------------------------------ metrics
value("SELECT fraud.pause_channel('desk'); UPDATE fraud.notifications SET state = 'pending', finished_at = NULL, created_at = now() - interval '1 day' WHERE state = 'dead'");
like(value('SELECT fraud.metrics()'), qr/^fraud_channel_overdue_seconds\{channel="desk",database="postgres"\} 0$/m, 'what waits for a channel that is paused is not late');

$node->stop;
done_testing();
