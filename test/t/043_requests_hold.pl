# Pages while something is in the way: kills, a queue that is full; and mutual TLS.
use strict;
use warnings;

use FraudDetect;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Receivers;
use Test::More;

my $api = start_api('--booked', '400');
my $dir = make_certificates(PostgreSQL::Test::Utils::tempdir());
my $node = new_server('main', conf => "restart_after_crash = on\nfraud_detect.max_retry_delay = 1s\nfraud_detect.ca_file = '$dir/ca.crt'\n");
my $pages = "$api->{url}/bank/flat";

sub value { return $node->safe_psql('postgres', $_[0]) }
sub reaches
{
    my ($name, $condition, $what) = @_;
    ok($node->poll_query_until('postgres', "SELECT $condition FROM fraud.source_status WHERE name = '$name'"), $what)
      or diag(value("SELECT to_jsonb(s) FROM fraud.source_status s WHERE name = '$name'"));
}

# ---------------------------------------------------------------------- kills
# One page after the other, ten a second; the worker is killed now and then, and the server once.
value("SELECT fraud.add_source('bank', '$pages/cursor?limit=4', poll_interval => '1 day', request => '{\"paging\": {\"kind\": \"cursor\", \"path\": \"\$.next_cursor\", \"max_pages\": 1000}, \"rate_limit\": 900}')");
for my $round (1 .. 3)
{
    my $aim = 12 * $round;
    ok($node->poll_query_until('postgres', "SELECT pages >= $aim FROM fraud.source_status WHERE name = 'bank'"), "some pages are kept ($round)");
    if ($round < 3)
    {
        ok(crash($node, value("SELECT pid FROM pg_stat_activity WHERE backend_type = 'fraud_detect ingest'")), 'the server restarts');
    }
    else
    {
        $node->stop('immediate');
        $node->start;
    }
}
ok($node->poll_query_until('postgres', "SELECT pages = 100 AND state = 'ok' AND waiting = 0 FROM fraud.source_status WHERE name = 'bank'"), 'the walk comes to its end')
  or diag(value("SELECT to_jsonb(s) FROM fraud.source_status s WHERE name = 'bank'"));
is(value('SELECT count(*) || $$ $$ || count(DISTINCT transaction_id) FROM fraud.transactions'), '400 400', 'with all payments, each once');
my $log = `curl -s '$api->{url}/bank/log'`;
my @asked = $log =~ /"cursor":"([^"]*)"/g;
my %times;
$times{$_}++ for @asked;
cmp_ok(scalar(@asked), '<=', 99 + 3, 'a crash repeats one page at most');
is(scalar(keys %times), 99, 'and leaves none out');
is(scalar(() = $log =~ /"query":\{"limit":"4"\}/g), 1, 'the first page was asked for once');

# --------------------------------------------------------------- backpressure
# Nothing can be scored: after as many as may wait the pages stop, and go on by themselves.
`curl -s '$api->{url}/bank/book?count=700'`;
my $holder = $node->background_psql('postgres');
$holder->query_safe('BEGIN; LOCK TABLE fraud.payment_keys IN EXCLUSIVE MODE');
value("SELECT fraud.add_source('full', '$pages/offset', poll_interval => '1 day', max_waiting_payments => 50,"
      . " request => '{\"paging\": {\"kind\": \"offset\", \"start\": 400, \"size\": 20, \"size_parameter\": \"limit\", \"max_pages\": 1000}}')");
reaches('full', "state = 'behind' AND pages = 3 AND waiting = 60 AND cursor = 'offset 460'", 'as many pages as may wait');
# Others are not held up.
value("SELECT fraud.add_source('other', '$pages/offset', poll_interval => '1 day', request => '{\"paging\": {\"kind\": \"offset\", \"size\": 100, \"size_parameter\": \"limit\"}}')");
reaches('other', "pages >= 5 AND state IN ('ok', 'polling')", 'other sources go on');
$holder->quit;
reaches('full', "state = 'ok' AND waiting = 0 AND stored + duplicates = 300 AND cursor IS NULL AND failures = 0", 'when there is room it goes on to its end');

# ----------------------------------------------------------------- mutual TLS
system("cat $dir/good.crt $dir/good.key > $dir/server.pem; chmod 600 $dir/server.pem") == 0 or die;
my $tls = start_api('--certificate', "$dir/server.pem", '--client-ca', "$dir/ca.crt");
(my $url = $tls->{url}) =~ s{http://127.0.0.1}{https://127.0.0.1};
value("SELECT fraud.add_source('unknown', '$url/bank/flat/page?limit=50', poll_interval => '1 day', request => '{\"paging\": {\"kind\": \"page\", \"size\": 50}}')");
reaches('unknown', "state = 'failing' AND last_status IS NULL", 'without a certificate the bank lets nobody in');
value("SELECT fraud.add_source('known', '$url/bank/flat/page?limit=50', poll_interval => '1 day',"
      . " request => '{\"paging\": {\"kind\": \"page\", \"size\": 50}, \"tls\": {\"certificate_file\": \"$dir/other.crt\", \"key_file\": \"$dir/other.key\"}}')");
reaches('known', "state = 'ok' AND pages = 3", 'with one it does');
value("SELECT fraud.add_source('keyless', '$url/bank/flat/page', poll_interval => '1 day', request => '{\"tls\": {\"certificate_file\": \"$dir/good.crt\", \"key_file\": \"$dir/nix.key\"}}')");
reaches('keyless', "last_error LIKE 'the client''s certificate or key cannot be used%'", 'a key that is not there is said');
# Whoever may not read the server's files names none.
value("CREATE ROLE operator; SELECT fraud.grant_access('operator', 'operator')");
my (undef, undef, $error) = $node->psql('postgres', "SET ROLE operator; SELECT fraud.add_source('x', '$url', request => '{\"tls\": {\"certificate_file\": \"/etc/passwd\"}}')");
like($error, qr/permission denied to name a file of the server/, 'an operator names no file of the server');

done_testing();
