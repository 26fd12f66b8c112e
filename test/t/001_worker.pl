# The ingest worker: real polls, and every fault of the payment API.
use strict;
use warnings;

use FraudDetect;
use PostgreSQL::Test::Utils;
use Test::More;

my $payments = PostgreSQL::Test::Utils::tempdir() . '/payments.ndjson';
system("$ENV{FRAUD_TREE}/build/simulate --customers 60 --merchants 20 --days 20 > $payments") == 0
  or die "simulate failed";
my $api = start_api('--payments', $payments, '--tick', '0.3', '--per-tick', '40', '--overlap', '1000',
    '--fault-seconds', '60');
my $node = new_server('main',
    conf => "fraud_detect.poll_timeout = 6s\nfraud_detect.max_response_size = 4MB\n"
      . "fraud_detect.max_retry_delay = 2s\nfraud_detect.ingest_batch_size = 100\n");

sub value { return $node->safe_psql('postgres', $_[0]) }

sub status
{
    my ($name, $columns) = @_;
    return value("SELECT $columns FROM fraud.source_status WHERE name = '$name'");
}

sub add
{
    my ($name, $path, $more) = @_;
    $more //= '';
    value("SELECT fraud.add_source('$name', '$api->{url}$path', poll_interval => '200 ms'$more)");
}

ok($node->poll_query_until('postgres',
        "SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'fraud_detect ingest'"),
    'CREATE EXTENSION brings the worker');

# ------------------------------------------------------------- ordinary polls
add('live', '/current-transactions');
ok($node->poll_query_until('postgres', "SELECT count(*) > 300 FROM fraud.transactions"),
    'payments are polled and stored');
is( value("SELECT count(*) FROM fraud.transactions WHERE score IS NULL OR decision IS NULL"),
    '0', 'each has score and decision');
is(value("SELECT count(*) FROM fraud.transactions t WHERE fraud_score(t) IS DISTINCT FROM t.score"),
    '0', 'each score is that of the stored vector');
is(value("SELECT count(*) - count(DISTINCT (card, transaction_id)) FROM fraud.transactions"),
    '0', 'no payment is stored twice, though answers repeat them');
like(status('live', 'state'), qr/^(ok|polling)$/, 'the source is well');
is(status('live', 'duplicates > 0 AND rejected = 0 AND failures = 0 AND lag IS NOT NULL'),
    't', 'the source counts');

# Features of the customer's own past do not depend on how payments came: the same
# payments, ingested at once, give the same. (Those of a merchant, the last three, are of what
# had committed when a scorer looked.)
value('CREATE DATABASE other');
$node->safe_psql('other', 'CREATE EXTENSION fraud_detect');
value("SELECT fraud.pause_source('live')");
is(status('live', 'state'), 'paused', 'a paused source says so');
ok($node->poll_query_until('postgres', 'SELECT NOT EXISTS (SELECT FROM fraud.inbox)'), 'what was received is scored all the same');
# A poll that was under way when its source was paused may still bring some: those of one moment are taken.
my $ids = value("SELECT string_agg(quote_literal(transaction_id), ',') FROM fraud.transactions");
my $count = $ids =~ tr/,// + 1;
my $vectors = "SELECT md5(string_agg(transaction_id || features[1:cardinality(features) - 3]::text, ',' ORDER BY transaction_id)) "
  . "FROM fraud.transactions WHERE transaction_id IN ($ids)";
# (In the file's order, in which COPY does not always put rows into a table.)
$node->safe_psql('other', "CREATE TABLE wire (n int GENERATED ALWAYS AS IDENTITY, line text)");
$node->safe_psql('other', "COPY wire (line) FROM '$payments'");
$node->safe_psql('other',
    "SELECT count(*) FROM fraud.ingest((SELECT jsonb_agg(line::jsonb ORDER BY n) FROM wire "
      . "WHERE line::jsonb ->> 'trans_num' IN ($ids)))");
is($node->safe_psql('other', 'SELECT count(*) FROM fraud.transactions'), $count, 'all of them again');
is($node->safe_psql('other', $vectors), value($vectors),
    'features are the same whether payments came one poll at a time or all at once');

# --------------------------------------------------------------------- faults
# What each fault leaves in last_error; while all of them go on, others are polled.
my %faults = (
    '/500' => qr/^HTTP status 500, expected 200$/,
    '/429' => qr/^HTTP status 429, expected 200$/,
    '/drip' => qr/^timed out: /,
    '/hang' => qr/^timed out: /,
    '/reset' => qr/^the connection broke in receiving: |^the server closed the connection without an answer: /,
    '/empty' => qr/empty body/,
    '/truncated' => qr/invalid JSON at byte/,
    '/truncated-transfer' => qr/^the answer was cut off: /,
    '/wrong-content-type' => qr/content type text\/html/,
    '/page' => qr/invalid JSON at byte/,
    '/huge' => qr/larger than 4194304 bytes/,
    '/huge-length' => qr/larger than 4194304 bytes/,
    '/bomb' => qr/larger than 4194304 bytes/,
    '/redirect-loop' => qr/^HTTP status 302, expected 200; more than 3 redirects \(fraud_detect\.max_redirects\)$/,
    '/redirect-nowhere' => qr/^HTTP status 302, expected 200; it says not where to$/,
    '/not-modified' => qr/^HTTP status 304, expected 200$/,
    '/long-header' => qr/^the response's headers are larger than 65536 bytes$/,
    '/many-headers' => qr/^the response's headers are larger than 65536 bytes$/,
    '/needs-key' => qr/^HTTP status 401, expected 200$/,);
my %names = map { (my $name = $_) =~ s{/}{fault_}; ($_ => $name) } keys %faults;
add($names{$_}, $_) for sort keys %faults;
for my $path (sort keys %faults)
{
    ok( $node->poll_query_until('postgres',
            "SELECT failures > 0 AND last_error IS NOT NULL FROM fraud.source_status WHERE name = '$names{$path}'"),
        "$path is noted as a failure");
    # A crowded machine may time out at the first look.
    my $said = '';
    ok(wait_for(sub { ($said = status($names{$path}, 'last_error')) =~ $faults{$path} }, "$path"), "$path says what was wrong") or diag($said);
}
is(value("SELECT string_agg(name, ' ' ORDER BY name) FROM fraud.source_status WHERE last_error LIKE '%proposes a mapping%'"), '',
    'a mapping is offered for what can be read alone');
is(status('fault_429', 'next_poll_at - last_error_at > interval \'1.5 s\''),
    't', 'Retry-After is honoured');
is(value("SELECT count(*) FROM fraud.source_status WHERE name LIKE 'fault%' AND stored > 0"),
    '0', 'no fault stored a payment');
is(value("SELECT count(*) FROM fraud.ingest_errors WHERE source = 'fault_page' AND length(payload) <= 1024 AND payload_size > 30000"),
    '1', 'of an answer that is no payments little is shown');
cmp_ok(value("SELECT count(*) FROM fraud.ingest_errors WHERE source IN ('fault_truncated', 'fault_wrong-content-type')"),
    '>=', 2, 'unreadable answers are dead letters');
value("SELECT fraud.drop_source(name) FROM fraud.sources WHERE name LIKE 'fault%'");

# Answers with good payments in them.
my %good = (
    '/503-then-ok' => 2,
    '/duplicates' => undef,
    '/out-of-order' => undef,
    '/future' => 1,
    '/wrong-types' => 1,
    '/not-utf8' => 1,
    '/gzip' => undef,
    '/records' => undef,
    '/ndjson' => undef,
    '/one' => 1,
    '/redirect' => undef,);
(my %good_names) = map { (my $name = $_) =~ s{/}{good_}; ($_ => $name) } keys %good;
add($good_names{$_}, $_) for sort keys %good;
add('good_key', '/needs-key', q(, headers => '{"X-Api-Key": "secret-key-1"}'));
for my $path (sort keys %good)
{
    ok( $node->poll_query_until('postgres',
            "SELECT stored + duplicates > 0 FROM fraud.source_status WHERE name = '$good_names{$path}'"),
        "$path: the good payments are stored");
    is(status($good_names{$path}, 'stored'), $good{$path}, "$path: $good{$path} stored")
      if defined $good{$path};
}
ok($node->poll_query_until('postgres',
        "SELECT stored > 0 FROM fraud.source_status WHERE name = 'good_key'"),
    'a header with a key is sent');
is(value("SELECT count(DISTINCT reason) FROM fraud.ingest_errors WHERE source = 'good_wrong-types'"),
    '5', 'each payment of wrong types is a dead letter with its own reason');
like(value("SELECT reason FROM fraud.ingest_errors WHERE source = 'good_future'"),
    qr/is in the future/, 'a payment from the future is a dead letter');
is(value("SELECT count(*) - count(DISTINCT (card, transaction_id)) FROM fraud.transactions"),
    '0', 'duplicates are stored once');

# A key is not carried to where a redirect leads.
add('led', '/redirect', q(, headers => '{"X-Api-Key": "secret-key-1"}'));
ok($node->poll_query_until('postgres',
        "SELECT last_error LIKE '%does not follow redirects%' FROM fraud.source_status WHERE name = 'led'"),
    'a source with headers follows no redirect');

# ------------------------------------------------------------------ switches
value("SELECT fraud.pause_source(name) FROM fraud.sources");
value("SELECT fraud.add_source('rare', '$api->{url}/one', poll_interval => '1 day')");
ok($node->poll_query_until('postgres', "SELECT polls = 1 AND state = 'ok' FROM fraud.source_status WHERE name = 'rare'"),
    'a new source is polled at once');
value("SELECT fraud.poll_now('rare')");
ok($node->poll_query_until('postgres', "SELECT polls = 2 FROM fraud.source_status WHERE name = 'rare'"),
    'poll_now polls at once');
value("BEGIN; SELECT fraud.poll_now('rare'); ROLLBACK");
value("SELECT fraud.resume_source('live')");
my $polls = status('live', 'polls');
ok($node->poll_query_until('postgres', "SELECT polls > $polls FROM fraud.source_status WHERE name = 'live'"),
    'a resumed source is polled again');
is(status('rare', 'polls'), '2', 'a poll_now that was rolled back polls nothing');

# ------------------------------------------------------------------- privacy
# No card number of the feed is in any table but as its hash, nor in the log.
my @numbers = do {
    open(my $file, '<', $payments) or die $!;
    my %seen;
    while (<$file>) { $seen{$1} = 1 if /"cc_num":\s*(\d+)/ }
    sort keys %seen;
};
cmp_ok(scalar @numbers, '>', 30, 'the feed has card numbers');
my $pattern = join('|', @numbers);
my $dump = $node->basedir . '/dump.sql';
$node->run_log([ 'pg_dump', '-f', $dump, $node->connstr('postgres') ]);
ok(slurp_file($dump) !~ /$pattern/, 'no card number is stored');
ok(slurp_file($node->logfile) !~ /$pattern|secret-key-1/, 'no card number and no key is in the log');

done_testing();
