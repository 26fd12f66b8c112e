# Any API: a bank's envelope and a feed of CSV, polled beside the seed's layout; what a preview shows, what it leaves alone, whom it obeys.
use strict;
use warnings;

use FraudDetect;
use File::Temp ();
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $bodies = File::Temp->newdir;
my $api = start_api('--bodies', "$bodies", '--fault-seconds', '120');
my $node = new_server('main', conf => "fraud_detect.poll_timeout = 3s\nfraud_detect.max_response_size = 64MB\nfraud_detect.max_retry_delay = 1s\n");
sub value { return $node->safe_psql('postgres', $_[0]) }
sub status { my ($name, $columns) = @_; return value("SELECT $columns FROM fraud.source_status WHERE name = '$name'") }
sub becomes { my ($name, $what, $says) = @_; return ok($node->poll_query_until('postgres', "SELECT $what FROM fraud.source_status WHERE name = '$name'"), $says) }
sub refused
{
    my ($sql, $pattern, $says) = @_;
    my ($code, $out, $error) = $node->psql('postgres', $sql);
    like($error, $pattern, $says);
}

# Has /bodies/NAME answer with this from now on.
sub serve_text
{
    my ($name, $text) = @_;
    open(my $file, '>', "$bodies/$name.new") or die $!;
    print $file $text;
    close($file);
    rename("$bodies/$name.new", "$bodies/$name") or die $!;
}

my $now = int(time);
my @iso = gmtime($now);
my $iso = sprintf('%04d-%02d-%02dT%02d:%02d:%02d', $iso[5] + 1900, $iso[4] + 1, @iso[3, 2, 1, 0]);
sub transaction
{
    my ($id, $amount, %more) = @_;
    my $pan = $more{pan} // 4000000000000036;
    return qq({"id":"$id","bookedAt":"$iso+00:00","amount":{"value":$amount,"currency":"EUR"},"merchant":{"name":"Kuhn","mcc":"5411"},)
      . qq("card":{"pan":"$pan","brand":"visa"},"device":{"id":"d-1"}});
}
my $mapping = q('{"payments": "$.data.transactions[*]", "fields": {"transaction_id": "$.id", "occurred_at": "$.bookedAt", "amount": "$.amount.value",
    "merchant": "$.merchant.name", "category": "$.merchant.mcc", "cc_num": "$.card.pan", "attributes.device": "$.device.id"}}');

# ------------------------------------------------------------------ a bank's envelope
my $head = '{"status":"ok","data":{"count":2,"transactions":[';
serve_text('bank', $head . transaction('b1', '60.16') . ',' . transaction('b2', '12.5') . ',' . transaction('bad', '"much"') . ']},"next":null}');
value("SELECT fraud.add_source('bank', '$api->{url}/bodies/bank', poll_interval => '1 day')");
becomes('bank', "failures > 0", 'a body that nobody has described is a failed poll');
like(status('bank', 'last_error'), qr/it has keys "status", "data", "next" \(content type .*; fraud\.preview_source\('bank'\) proposes a mapping/,
    'which names the keys, and says who proposes a mapping');

# What a preview proposes; nothing is stored by it, nor polled.
value("SELECT fraud.pause_source('bank')");
my $before = value("SELECT polls || ' ' || failures || ' ' || (SELECT count(*) FROM fraud.ingest_errors) FROM fraud.source_status WHERE name = 'bank'");
my $proposal = value("SELECT proposal FROM fraud.preview_source('bank') LIMIT 1");
like($proposal, qr/"payments": "\$\.data\.transactions\[\*\]"/, 'the preview finds the array');
is(value("SELECT string_agg(concat_ws(' ', payment, mapped ->> 'trans_num', mapped ->> 'amt', mapped ->> 'cc_num', left_over #>> '{device,id}', error IS NULL), ', ' ORDER BY payment)"
          . " FROM fraud.preview_source('bank', '$proposal')"),
    '1 b1 60.16 ************0036 d-1 t, 2 b2 12.5 ************0036 d-1 t, 3 bad much ************0036 d-1 f', 'what it proposes shows the payments, masked');
is(value("SELECT polls || ' ' || failures || ' ' || (SELECT count(*) FROM fraud.ingest_errors) FROM fraud.source_status WHERE name = 'bank'"), $before,
    'the feed takes no note of a preview');
is(value('SELECT count(*) FROM fraud.transactions'), '0', 'and nothing is stored');
is(value("SELECT count(*) FROM fraud.audit_log WHERE action = 'preview' AND object_name = 'bank'"), '2', 'but the audit log says who asked');

value("SELECT fraud.alter_source('bank', mapping => $mapping, poll_interval => '200 ms')");
value("SELECT fraud.resume_source('bank')");
becomes('bank', 'stored = 2 AND rejected >= 1', 'with the mapping its payments are stored, and the one that does not fit is a dead letter');
is(value("SELECT string_agg(concat_ws(' ', transaction_id, amount, merchant, category, attributes ->> 'device', attributes #>> '{card,brand}'), ', ' ORDER BY transaction_id)"
          . " FROM fraud.transactions WHERE source = 'bank'"),
    'b1 60.16 Kuhn 5411 d-1 visa, b2 12.50 Kuhn 5411 d-1 visa', 'with their attributes');
is(value("SELECT to_char(occurred_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS') FROM fraud.transactions WHERE transaction_id = 'b1'"), $iso, 'and their time');
like(value("SELECT reason FROM fraud.ingest_errors WHERE transaction_id = 'bad'"), qr/^amt \(\$\.amount\.value\) is "much": expected a number/, 'the letter names field and path');

# The dead letter of a mapped payment is repaired, and a large answer does not keep others.
is(value("SELECT r.outcome FROM fraud.ingest_errors e, fraud.retry_dead_letter(e.error_id, '{\"amt\": 7.5}') r WHERE e.transaction_id = 'bad'"), 'received', 'it can be repaired');
ok($node->poll_query_until('postgres', "SELECT EXISTS (SELECT FROM fraud.transactions WHERE transaction_id = 'bad' AND amount = 7.5 AND attributes ->> 'device' = 'd-1')"),
    'and is stored with what it had');

# ----------------------------------------------------------------------- breaks
serve_text('bank', $head . transaction('b3', '3') . ',{"id":"x","amount":{"value" 1}},' . transaction('b4', '4') . ',' . substr(transaction('b5', '5'), 0, 60));
becomes('bank', "stored = 5 AND state = 'failing'", 'of a body that breaks each whole payment is kept, and the poll has failed');
serve_text('bank', '{"status":"ok","data":{"items":[]}}');
becomes('bank', q(last_error ~ 'expected payments at \$\.data\.transactions\[\*\], found no "transactions"; it has keys "items"'), 'where the array is missing the error says what is there');
serve_text('bank', '{"status":"ok","data":{"transactions":null}}');
becomes('bank', "state = 'ok'", 'null is an empty list');

# A large answer, mapped, and another source meanwhile.
serve_text('small', '[' . payment(cc_num => 4000000000000054, trans_num => '"s1"', amt => 1, current_time => $now * 1000) . ']');
serve_text('bank', $head . join(',', map { transaction("l$_", '1', pan => 4000000000000000 + 18 * ($_ % 500)) } 1 .. 20000) . ']}}');
value("SELECT fraud.add_source('small', '$api->{url}/bodies/small', poll_interval => '200 ms')");
becomes('small', 'stored = 1', 'a small source is polled meanwhile');
# Once it is received it is shown no more: a worker that reads it again five times a second takes from the scorers what they need.
ok($node->poll_query_until('postgres', "SELECT stored + waiting = 20005 FROM fraud.source_status WHERE name = 'bank'"), 'all of a large answer is mapped');
serve_text('bank', $head . ']}}');
ok(wait_for(sub { value("SELECT stored = 20005 FROM fraud.source_status WHERE name = 'bank'") eq 't' }, 'the large answer is stored', 900), 'and stored');

# --------------------------------------------------------------------------- CSV
serve_text('csv', qq(Ref;When;Payee;Sum;Card\r\nc1;$now;"A; ""B""";"1.234,50";4000000000000036\r\nc2;$now;"open;1,00;4000000000000036\r\nc3;$now;C;2,00;4000000000000036\r\n));
value("SELECT fraud.add_source('csv', '$api->{url}/bodies/csv', poll_interval => '200 ms', format => 'csv', mapping => "
      . q('{"delimiter": ";", "fields": {"transaction_id": "$.Ref", "occurred_at": {"path": "$.When", "time": "epoch_s"}, "merchant": "$.Payee", "amount": {"path": "$.Sum", "decimal": ","}, "cc_num": "$.Card"}}')
      . ')');
becomes('csv', 'stored = 2 AND rejected >= 1', 'CSV is polled, and a broken line is a dead letter by itself');
is(value("SELECT string_agg(concat_ws(' ', transaction_id, amount, merchant), ', ' ORDER BY transaction_id) FROM fraud.transactions WHERE source = 'csv'"), 'c1 1234.50 A; "B", c3 2.00 C',
    'with quotes and decimals as they are meant');

# ------------------------------------------------------------- a path that takes for ever
my $deep = '1';
$deep = "[$deep,$deep]" for 1 .. 11;
serve_text('nested', qq({"d": [) . join(',', map { qq({"id": "n-$_", "at": "$iso", "pan": 4000000000000036, "sum": 1, "shop": "A", "x": $deep}) } 1 .. 20) . ']}');
value(qq(SELECT fraud.add_source('nested', '$api->{url}/bodies/nested', poll_interval => '1 day', mapping => '{"payments": "\$.d[*]", "fields": {"trans_num": "\$.id",
    "occurred_at": {"path": "\$.at", "time": "iso8601"}, "cc_num": "\$.pan", "amt": "\$.sum", "merchant": "\$.shop", "category": "\$.x.** ? (@.**.**.**.**.**.**.** == 7)"}}')));
becomes('nested', 'rejected = 20', 'is a fault of its field');
is(value("SELECT DISTINCT reason FROM fraud.ingest_errors WHERE source = 'nested'"),
    'category ($.x.** ? (@.**.**.**.**.**.**.** == 7)) is not found within 200 ms: expected a path that takes less', 'that says so');
my $polled = status('small', 'last_poll_at');
becomes('small', "last_poll_at > '$polled'", 'and no other source waits for it');

# ------------------------------------------------------------------- whom a preview obeys
value('CREATE ROLE nobody LOGIN');
value('CREATE ROLE operator LOGIN');
value("SELECT fraud.grant_access('operator', 'operator')");
refused("SET ROLE nobody; SELECT fraud.preview_source('bank')", qr/permission denied/, 'who is no operator previews nothing');
is(value("SET ROLE operator; SELECT count(*) FROM fraud.preview_source('csv')"), '3', 'an operator does');
value("SELECT fraud.add_source('slow', '$api->{url}/hang', poll_interval => '1 day')");
my $start = time;
refused("SET statement_timeout = '500ms'; SELECT fraud.preview_source('slow')", qr/canceling statement due to statement timeout/, 'a preview heeds a cancel');
cmp_ok(time - $start, '<', 2.5, 'at once');
like(value("SELECT error FROM fraud.preview_source('slow')"), qr/^timed out/, 'and the time limit of polls');
value("SELECT fraud.add_source('error', '$api->{url}/500', poll_interval => '1 day')");
is(value("SELECT error FROM fraud.preview_source('error')"), 'HTTP status 500, expected 200', 'and says what came instead');
# A source with a request may answer without a body; one without is asked for payments.
value("SELECT fraud.add_source('$_->[0]', '$api->{url}/204', poll_interval => '1 day'$_->[1])") for [ 'nothing', q(, request => '{"query": {"since": "{{since}}"}}') ], [ 'bare', '' ];
my @previews = map { value("SELECT coalesce(error, 'none') FROM fraud.preview_source('$_')") } qw(nothing bare);
my @polls = map { my $name = $_; $node->poll_query_until('postgres', "SELECT state IN ('ok', 'failing') FROM fraud.source_status WHERE name = '$name'"); value("SELECT state FROM fraud.source_status WHERE name = '$name'") } qw(nothing bare);
is("@polls | $previews[1]", 'ok failing | HTTP status 204, expected 200', 'what is no answer to a poll is none to a preview');
unlike($previews[0], qr/204/, 'and what is one is one');
$node->append_conf('postgresql.conf', "fraud_detect.allowed_hosts = '*'");
$node->reload;
ok($node->poll_query_until('postgres', "SELECT current_setting('fraud_detect.allowed_hosts') = '*'"), 'the policy is another');
like(value("SELECT error FROM fraud.preview_source('csv')"), qr/allowed_hosts|may not be contacted/, 'what may not be contacted is not, by a preview either');

done_testing();
