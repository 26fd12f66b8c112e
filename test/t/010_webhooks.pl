# Webhooks to a real HTTPS server (nginx): what arrives, the signature, and every
# fault of a receiver; none of them delays another channel or ingestion.
use strict;
use warnings;

use Digest::SHA qw(hmac_sha256);
use Encode ();
use FraudDetect;
use IO::Socket::INET;
use JSON::PP;
use MIME::Base64;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Receivers;
use Test::More;
use Time::HiRes qw(time);

my $dir = make_certificates(PostgreSQL::Test::Utils::tempdir());
my $receiver = start_receiver($dir);
my $tls = start_tls($dir, $receiver->{port});
my $node = new_server('main',
    conf => "fraud_detect.ca_file = '$dir/ca.crt'\nfraud_detect.notify_timeout = 2s\n"
      . "fraud_detect.notify_attempts = 3\nfraud_detect.max_retry_delay = 1s\nfraud_detect.alert_window = 0\n");
sub value { return $node->safe_psql('postgres', $_[0]) }
sub status { return value("SELECT $_[1] FROM fraud.channel_status WHERE name = '$_[0]'") }

sub parse_json { return JSON::PP->new->decode($_[0]) }    # of a text, where decode_json takes bytes

my $number = 0;

# Has one payment raise an alert; returns its id.
sub raise_alert
{
    my (%fields) = @_;
    my $id = 'w-' . ++$number;
    my $payment = payment(trans_num => qq("$id"), cc_num => 4000000000000002, current_time => 1700000000000 + $number * 1000, %fields);
    value("SELECT status FROM fraud.ingest('$payment')");
    return $id;
}

sub arrived
{
    my ($path, $id) = @_;
    return wait_for_line($receiver,
        sub { $_[0]{path} eq $path && (!defined $id || $_[0]{body} =~ /"\Q$id\E"/) }, "$path gets its message");
}

value("SELECT fraud.promote('payments', 1, review_at => 0, block_at => 1, reason => 'alert on all')");
ok($node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'fraud_detect notify'"),
    'CREATE EXTENSION brings the notify worker');

# ------------------------------------------------------------- what arrives
my $secret = 'whsec_' . encode_base64('a key of twenty-five byte', '');
value(qq(SELECT fraud.add_channel('good', 'webhook', '$tls->{good}/ok?token=secret-query-1', secret => '$secret',
    headers => '{"X-Api-Key": "secret-header-1"}')));
my $before = time;
my $id = raise_alert(merchant => '"A \"quoted\" <b>name</b>"', amt => 900);
my $request = arrived('/ok?token=secret-query-1', $id);
cmp_ok($request->{at} - $before, '<', patient(1), 'within a second, commit and TLS included');
my $body = parse_json($request->{body});
is_deeply(
    [ @$body{qw(kind digest count)}, @{ $body->{data} }{qw(transaction_id decision amount merchant last_four case_alerts)} ],
    [ 'alert', JSON::PP::false, 1, $id, 'review', 900, 'A "quoted" <b>name</b>', '0002', 1 ], 'the body tells of the alert');
my $headers = $request->{headers};
is($headers->{'content-type'}, 'application/json', 'it is JSON');
is($headers->{'x-api-key'}, 'secret-header-1', 'own headers are sent');
is($headers->{'idempotency-key'}, $headers->{'webhook-id'}, 'the id stands in both headers');
is($headers->{'webhook-id'}, value("SELECT idempotency_key FROM fraud.notifications"), 'it is that of the delivery');
cmp_ok(abs($headers->{'webhook-timestamp'} - $before), '<', patient(3), 'the time is now');

# The signature as another language verifies it, from the documented recipe.
my $bytes = Encode::encode('UTF-8', $request->{body});
my $signed = "$headers->{'webhook-id'}.$headers->{'webhook-timestamp'}.$bytes";
is($headers->{'webhook-signature'}, 'v1,' . encode_base64(hmac_sha256($signed, decode_base64(substr($secret, 6))), ''),
    'the signature is HMAC-SHA256 over id, time and body');
append_to_file("$dir/recipe.py", slurp_file("$ENV{FRAUD_TREE}/docs/alerts.md") =~ /```python\n(.*?)```/s ? $1 : 'raise SystemExit("no recipe")');
append_to_file("$dir/recipe.py", "\nimport sys\nheaders = json.loads(sys.argv[1])\n"
      . "verify(sys.argv[2], headers, sys.argv[3].encode())\n"
      . "for bad in (sys.argv[3] + ' ', ''):\n    try:\n        verify(sys.argv[2], headers, bad.encode())\n    except ValueError:\n        continue\n    raise SystemExit('a forgery passed')\n");
command_ok([ 'python3', "$dir/recipe.py", encode_json($headers), $secret, $bytes ],
    'so does the recipe of docs/alerts.md');
is(value("SELECT state, attempts, last_status FROM fraud.notifications"), 'delivered|1|200', 'the delivery is on record');
is(value("SELECT outcome, status, duration > '0' FROM fraud.notification_attempts"), 'delivered|200|t', 'so is the attempt');
is(status('good', "state, delivered, failures, destination"), "ok|1|0|$tls->{good}", 'the channel is well');

# A template, for chat tools; the text of a payment changes nothing in it.
value(qq(SELECT fraud.add_channel('chat', 'webhook', '$tls->{good}/ok-chat', template => '{"text": "{{decision}}: {{merchant|escape}}", "amount": "{{amount}}"}')));
$id = raise_alert(merchant => '"<!channel>\", \"x\": \"y"', amt => 12.5);
wait_for_line($receiver, sub { $_[0]{path} eq '/ok-chat' && $_[0]{body} eq '{"text":"review: &lt;!channel&gt;\", \"x\": \"y","amount":12.5}' }, 'a template is filled as JSON');
value("SELECT fraud.drop_channel('chat')");

# --------------------------------------------------------------------- faults
my $closed = PostgreSQL::Test::Cluster::get_free_port();
my $silent = IO::Socket::INET->new(Listen => 16, LocalAddr => '127.0.0.1') or die $!;
my %faults = (
    refused => [ "http://127.0.0.1:$closed/secret-path-1", 'failed', qr/^could not connect: / ],
    hang => [ "$tls->{good}/hang", 'timeout', qr/^timed out: / ],
    silent => [ 'https://127.0.0.1:' . $silent->sockport, 'timeout', qr/^timed out: / ],
    half => [ "$receiver->{url}/half", 'failed', qr/^the answer was cut off: / ],
    error => [ "$tls->{good}/500", 'failed', qr/^HTTP status 500, expected 2xx$/ ],
    redirect => [ "$tls->{good}/redirect", 'failed', qr/^HTTP status 302, expected 2xx; redirects are not followed$/ ],
    other_name => [ "$tls->{other}/ok-other", 'failed', qr/^the server's certificate is not valid: / ],
    no_tls => [ "https://127.0.0.1:$receiver->{port}/ok-no-tls", 'failed', qr/^could not agree on TLS: / ]);
value("SELECT fraud.add_channel('$_', 'webhook', '$faults{$_}[0]')") for sort keys %faults;
$id = raise_alert();
arrived('/ok?token=secret-query-1', $id);
for my $name (sort keys %faults)
{
    ok($node->poll_query_until('postgres', "SELECT count(*) = 1 FROM fraud.notifications WHERE channel = '$name' AND state = 'dead'"), "$name: given up after the attempts of the setting");
    like(status($name, 'last_error'), $faults{$name}[2], "$name: says what was wrong");
    is(value("SELECT string_agg(outcome, ' ' ORDER BY attempt) FROM fraud.notification_attempts WHERE channel = '$name'"),
        join(' ', ($faults{$name}[1]) x 3), "$name: each attempt is on record");
    is(status($name, 'state, failures, dead'), 'failing|3|1', "$name: the channel says so");
}
is(scalar(lines_of($receiver, sub { $_[0]{path} =~ /stolen|other|no-tls/ })), 0, 'no redirect was followed, no bad certificate accepted');
is(value("SELECT count(*) FROM fraud.notification_attempts WHERE channel = 'hang' AND duration NOT BETWEEN '1.9 s' AND '4 s'"), '0', 'a receiver that hangs has the time of the setting');
is(value("SELECT count(*) FROM (SELECT started_at - lag(started_at) OVER (PARTITION BY channel ORDER BY attempt) - '0.7 s'::interval AS gap FROM fraud.notification_attempts WHERE channel = 'refused') g WHERE gap < '0'"),
    '0', 'attempts keep their distance');

# With all of these failing, the good channel and ingestion go on as before.
raise_alert() for 1 .. 3;
$before = time;
$id = raise_alert();
cmp_ok(time - $before, '<', patient(1), 'ingestion does not wait for receivers');
cmp_ok(arrived('/ok?token=secret-query-1', $id)->{at} - $before, '<', patient(1), 'nor does another channel');
is(value("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'fraud_detect notify' AND xact_start < now() - interval '1 second'"),
    '0', 'no transaction is open while a receiver hangs');
value("SELECT fraud.drop_channel('$_')") for sort keys %faults;
is(value("SELECT count(*) FROM fraud.notifications WHERE state IN ('pending', 'sending')"), '0', 'what waited for a dropped channel is discarded');

my $untrusting = new_server('untrusting', conf => "fraud_detect.notify_attempts = 1\n");
$untrusting->safe_psql('postgres', "SELECT fraud.add_channel('x', 'webhook', '$tls->{good}/ok-untrusted'); SELECT fraud.test_channel('x')");
ok($untrusting->poll_query_until('postgres', "SELECT state = 'dead' AND last_error ~* 'certificate' FROM fraud.notifications"), 'a certificate of no known authority is refused');
is(scalar(lines_of($receiver, sub { $_[0]{path} eq '/ok-untrusted' })), 0, 'and nothing sent');
$untrusting->stop;

# ------------------------------------------------------------------ retries
value("SELECT fraud.add_channel('again', 'webhook', '$tls->{good}/fail-2')");
$id = raise_alert();
wait_for_line($receiver, sub { 3 == lines_of($receiver, sub { $_[0]{path} eq '/fail-2' }) }, 'a failed delivery is tried again');
my @tries = lines_of($receiver, sub { $_[0]{path} eq '/fail-2' });
is(scalar(keys %{ { map { $_->{headers}{'webhook-id'} => 1 } @tries } }), 1, 'with the same idempotency key');
is(scalar(keys %{ { map { $_->{body} => 1 } @tries } }), 1, 'and the same body');
ok($node->poll_query_until('postgres', "SELECT state = 'delivered' AND attempts = 3 FROM fraud.notifications WHERE channel = 'again'"), 'until it is delivered');
value("SELECT fraud.drop_channel('again')");

value("SELECT fraud.add_channel('limited', 'webhook', '$tls->{good}/429')");
$id = raise_alert();
ok($node->poll_query_until('postgres', "SELECT state = 'delivered' AND attempts = 2 FROM fraud.notifications WHERE channel = 'limited'"), 'a 429 is tried again');
@tries = lines_of($receiver, sub { $_[0]{path} eq '/429' });
cmp_ok($tries[1]{at} - $tries[0]{at}, '>', 1.9, 'after what Retry-After says');
value("SELECT fraud.drop_channel('limited')");

value("SELECT fraud.add_channel('late', 'webhook', '$tls->{good}/fail-3')");
$id = raise_alert();
ok($node->poll_query_until('postgres', "SELECT state = 'dead' FROM fraud.notifications WHERE channel = 'late'"), 'a delivery is given up');
value("SELECT fraud.retry_notification(notification_id) FROM fraud.notifications WHERE channel = 'late'");
ok($node->poll_query_until('postgres', "SELECT state = 'delivered' AND attempts = 4 FROM fraud.notifications WHERE channel = 'late'"), 'fraud.retry_notification sends it');
is(scalar(keys %{ { map { $_->{headers}{'webhook-id'} => 1 } lines_of($receiver, sub { $_[0]{path} eq '/fail-3' }) } }), 1, 'with the same key');
my (undef, undef, $error) = $node->psql('postgres', "SELECT fraud.retry_notification(notification_id) FROM fraud.notifications WHERE channel = 'late'");
like($error, qr/is delivered, expected pending or dead/, 'what is delivered is not sent again');
value("SELECT fraud.drop_channel('late')");

# A channel is moved: what was given up is sent there, with the same key; what waits goes at once.
value("SELECT fraud.add_channel('moves', 'webhook', 'http://127.0.0.1:$closed/', secret => '$secret')");
$id = raise_alert();
ok($node->poll_query_until('postgres', "SELECT state = 'dead' FROM fraud.notifications WHERE channel = 'moves'"), 'a channel points at nobody');
my $key = value("SELECT idempotency_key FROM fraud.notifications WHERE channel = 'moves'");
value("SELECT fraud.alter_channel('moves', target => '$tls->{good}/ok-moved', secret => '$secret'); SELECT fraud.retry_notification(notification_id) FROM fraud.notifications WHERE channel = 'moves'");
is(arrived('/ok-moved', $id)->{headers}{'webhook-id'}, $key, 'with the same key');
ok($node->poll_query_until('postgres', "SELECT state = 'delivered' AND attempts = 4 FROM fraud.notifications WHERE channel = 'moves'"), 'and its history stays');
value("SELECT fraud.drop_channel('moves')");
$node->append_conf('postgresql.conf', "fraud_detect.max_retry_delay = '1h'");
$node->reload;
value("SELECT fraud.add_channel('waits', 'webhook', '$tls->{good}/500', max_per_minute => 100)");
$id = raise_alert();
ok($node->poll_query_until('postgres', "SELECT attempts >= 2 AND state = 'pending' FROM fraud.notifications WHERE channel = 'waits'"), 'a delivery waits for its next attempt');
value("UPDATE fraud.notifications SET next_attempt_at = now() + interval '1 hour' WHERE channel = 'waits' AND state = 'pending'");
value("SELECT fraud.alter_channel('waits', target => '$tls->{good}/ok-waits', secret => '$secret', reset => '{max_per_minute}')");
ok(arrived('/ok-waits', $id)->{headers}{'webhook-signature'}, 'until the channel is altered, and goes as it is then');
value("SELECT fraud.drop_channel('waits')");
$node->append_conf('postgresql.conf', "fraud_detect.max_retry_delay = '1s'");
$node->reload;

# -------------------------------------------- digest, rate, conditions, repeats
value("SELECT fraud.add_channel('digest', 'webhook', '$tls->{good}/ok-digest', digest_interval => '2 s')");
raise_alert() for 1 .. 3;
$body = parse_json(arrived('/ok-digest')->{body});
is("$body->{digest} $body->{count} " . scalar(@{ $body->{data} }), '1 3 3', 'a digest holds the alerts of its time');
is(scalar(lines_of($receiver, sub { $_[0]{path} eq '/ok-digest' })), 1, 'in one message');
value("SELECT fraud.drop_channel('digest')");

value("SELECT fraud.add_channel('slow', 'webhook', '$tls->{good}/ok-slow', max_per_minute => 2)");
raise_alert() for 1 .. 4;
ok($node->poll_query_until('postgres', "SELECT delivered = 2 AND waiting = 2 FROM fraud.channel_status WHERE name = 'slow'"), 'a rate limit lets so many through');
is(value("SELECT count(*) FROM fraud.notification_attempts WHERE channel = 'slow'"), '2', 'and no more');
value("SELECT fraud.drop_channel('slow')");

value(q(CREATE ROLE clerk; SELECT fraud.grant_access('clerk', 'operator'); SET ROLE clerk;)
      . "SELECT fraud.add_channel('big', 'webhook', '$tls->{good}/ok-big', condition => 'amount > 1000');"
      . "SELECT fraud.add_channel('peek', 'webhook', '$tls->{good}/ok-peek', condition => 'EXISTS (SELECT FROM fraud.customers)');"
      . "SELECT fraud.add_channel('block', 'webhook', '$tls->{good}/ok-block', min_decision => 'block');"
      . "SELECT fraud.add_channel('sleepy', 'webhook', '$tls->{good}/ok-sleepy', condition => '(SELECT count(*) FROM generate_series(1, 100000) a, generate_series(1, 100000) b) > 0')");
my $small = raise_alert(amt => 10);
my $big = raise_alert(amt => 5000);
arrived('/ok-big', $big);
ok($node->poll_query_until('postgres', "SELECT count(*) = 2 FROM fraud.notifications WHERE channel = 'sleepy' AND state = 'dead' AND last_error ~ 'statement timeout'"), 'a condition that takes too long is stopped');
like(value("SELECT last_error FROM fraud.notifications WHERE channel = 'peek' LIMIT 1"), qr/^condition: permission denied for table customers$/, 'a condition has no more rights than who added the channel');
is(value("SELECT DISTINCT error FROM fraud.notification_log WHERE channel = 'peek'"), 'condition: permission denied for table customers', 'which the log says, to which fraud.health() points');
is(scalar(lines_of($receiver, sub { $_[0]{path} =~ /peek/ })), 0, 'so that nothing is sent');
is(value("SELECT state, condition_error, condition_failing_since > now() - interval '1 hour' FROM fraud.channel_status WHERE name = 'peek'"), 'failing|permission denied for table customers|t', 'and its status');
is(value("SELECT state, condition_error IS NULL FROM fraud.channel_status WHERE name = 'big'"), 'ok|t', 'a condition that does not hold has not failed');
like(value("SELECT status, since > now() - interval '1 hour', detail, advice FROM fraud.health() WHERE item = 'channel peek'"),
    qr/^error\|t\|its condition fails, each time since .*: permission denied for table customers\|fraud.alter_channel\('peek', condition => …\)/, 'health says what to do');
value("GRANT SELECT ON fraud.customers TO clerk");
raise_alert();
ok($node->poll_query_until('postgres', "SELECT condition_error IS NULL AND state IN ('new', 'ok') FROM fraud.channel_status WHERE name = 'peek'"), 'until it is answered');
value("REVOKE SELECT ON fraud.customers FROM clerk");
raise_alert();
ok($node->poll_query_until('postgres', "SELECT state = 'failing' FROM fraud.channel_status WHERE name = 'peek'"), 'a condition that fails again is told again');
value("SELECT fraud.alter_channel('peek', condition => 'false')");
is(value("SELECT state <> 'failing', condition_error IS NULL FROM fraud.channel_status WHERE name = 'peek'"), 't|t', 'of another condition nothing is known');
is(scalar(lines_of($receiver, sub { $_[0]{path} =~ /block|sleepy/ || ($_[0]{path} eq '/ok-big' && $_[0]{body} =~ /"$small"/) })), 0,
    'what a condition or decision keeps back is not sent');
value("SELECT fraud.drop_channel(name) FROM fraud.channel_status WHERE name <> 'good'");

# Repeats of a card within the window are one case: told once, and when it gets worse.
$node->append_conf('postgresql.conf', "fraud_detect.alert_window = '1h'");
$node->reload;
ok($node->poll_query_until('postgres', "SELECT current_setting('fraud_detect.alert_window') = '1h'"), 'the window is an hour');
value("SELECT fraud.add_channel('each', 'webhook', '$tls->{good}/ok-each', repeats => true)");
value("SELECT fraud.add_channel('once', 'webhook', '$tls->{good}/ok-once')");
my @ids = map { raise_alert(cc_num => 4000000000000077) } 1 .. 3;
value("SELECT fraud.promote('payments', 1, review_at => 0, block_at => 0, reason => 'block all')");
push @ids, map { raise_alert(cc_num => 4000000000000077) } 1 .. 2;
arrived('/ok-each', $_) for @ids;
arrived('/ok-once', $ids[3]);
is(join(' ', map { parse_json($_->{body})->{data}{transaction_id} } lines_of($receiver, sub { $_[0]{path} eq '/ok-once' })),
    "$ids[0] $ids[3]", 'a case is told of once, and once more when it gets worse');
is(value("SELECT alerts, decision FROM fraud.cases ORDER BY case_id DESC LIMIT 1"), '5|block', 'it counts all');

# ------------------------------------------------------- a secret is changed
# Both sign while the receiver may have the one or the other.
my $new_secret = 'whsec_' . encode_base64('another key of thirty-two bytes!', '');
sub signed_with
{
    my ($request) = @_;
    my $text = join('.', @{ $request->{headers} }{qw(webhook-id webhook-timestamp)}, Encode::encode('UTF-8', $request->{body}));
    my %names = map { ('v1,' . encode_base64(hmac_sha256($text, decode_base64(substr($_->[1], 6))), '') => $_->[0]) } ([ old => $secret ], [ new => $new_secret ]);
    my $header = $request->{headers}{'webhook-signature'} // return 'none';
    return join(' ', map { $names{$_} // "unknown $_" } split / /, $header);
}
value("SELECT fraud.add_channel('turns', 'webhook', '$tls->{good}/ok-turns', secret => '$secret', repeats => true)");
is(signed_with(arrived('/ok-turns', raise_alert())), 'old', 'one secret signs once');
value("SELECT fraud.alter_channel('turns', secret => '$new_secret', keep_old_secret => '1 hour')");
$request = arrived('/ok-turns', raise_alert());
is(signed_with($request), 'new old', 'while a secret is changed both sign');
for my $either ($secret, $new_secret)
{
    command_ok([ 'python3', "$dir/recipe.py", encode_json($request->{headers}), $either, Encode::encode('UTF-8', $request->{body}) ],
        'a receiver that has either takes it');
}
value("UPDATE fraud.channels SET old_secret_until = now() WHERE name = 'turns'");
is(signed_with(arrived('/ok-turns', raise_alert())), 'new', 'the old one ends with its time');
value("SELECT fraud.alter_channel('turns', secret => '$secret', keep_old_secret => '1 hour'); SELECT fraud.alter_channel('turns', reset => '{old_secret}')");
is(signed_with(arrived('/ok-turns', raise_alert())), 'old', 'or when it is retired');
value("SELECT fraud.alter_channel('turns', target => '$tls->{good}/ok-turned')");
is(signed_with(arrived('/ok-turned', raise_alert())), 'none', 'another target gets no signature of the one before');
value("SELECT fraud.drop_channel('turns')");

# ------------------------------------------------------ NOTIFY, test messages
value("SELECT fraud.add_channel('listeners', 'notify', 'fraud_team')");
my $heard = value("LISTEN fraud_team;\nSELECT fraud.test_channel('listeners');\nDO \$\$ BEGIN FOR i IN 1 .. 600 LOOP"
      . " EXIT WHEN EXISTS (SELECT FROM fraud.notifications WHERE channel = 'listeners' AND state = 'delivered'); PERFORM pg_sleep(0.1); END LOOP; END \$\$;\nSELECT 1");
like($heard, qr/Asynchronous notification "fraud_team" with payload "\{.*"kind":"test".*\}" received/, 'a channel of kind notify is heard');
my $message = value("SELECT fraud.test_channel('good')");
ok($node->poll_query_until('postgres', "SELECT outcome = 'delivered' FROM fraud.notification_log WHERE outbox_id = $message"), 'fraud.test_channel tries a channel');
$message = value("SELECT fraud._enqueue('report', '{\"day\": \"2026-03-02\"}', 'The day', 'text', '<p>page</p>')");
ok($node->poll_query_until('postgres', "SELECT dispatched_at IS NOT NULL FROM fraud.outbox WHERE outbox_id = $message"), 'a report is looked at');
is(value("SELECT count(*) FROM fraud.notification_log WHERE outbox_id = $message"), '0', 'and goes to no channel that did not ask for it');

# -------------------------------------------------------------------- privacy
my $all = join("\n", map { $_->{body} . encode_json($_->{headers}) } lines_of($receiver, sub { 1 }));
unlike($all, qr/40000000000000(02|77)/, 'no card number in any message');
my $log = slurp_file($node->logfile);
unlike($log, qr/secret-|$secret|40000000000000(02|77)/, 'no secret and no card number in the log');
is(value("SELECT count(*) FROM (SELECT n::text AS line FROM fraud.notification_log n UNION ALL SELECT s::text FROM fraud.channel_status s UNION ALL SELECT n::text FROM fraud.notifications n) l WHERE line ~ 'secret-|whsec'"), '0', 'nor in what an operator reads');

done_testing();
