# DROP EXTENSION, DROP DATABASE and a stop in the middle of a request; workers in
# several databases; a server without the preload.
use strict;
use warnings;

use FraudDetect;
use PostgreSQL::Test::Utils;
use Test::More;

my $api = start_api('--fault-seconds', '120');
my $node = new_server('main', conf => "fraud_detect.poll_timeout = 100s\n");

sub value { return $node->safe_psql($_[1] // 'postgres', $_[0]) }

sub workers
{
    my ($database) = @_;
    return "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'fraud_detect ingest'"
      . " AND datname = '$database'";
}

# Adds a source that never answers, and waits until its request is under way.
sub hang
{
    my ($database) = @_;
    value("SELECT fraud.add_source('hang', '$api->{url}/hang')", $database);
    ok($node->poll_query_until($database, "SELECT state = 'polling' FROM fraud.source_status WHERE name = 'hang'"),
        "a request hangs in $database");
}

hang('postgres');

# No transaction is open while it hangs, but for a moment where the worker does something else.
ok($node->poll_query_until('postgres', "SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'fraud_detect ingest' AND xact_start IS NOT NULL"),
    'no transaction is open while a request runs');
is(value("SELECT state FROM fraud.source_status WHERE name = 'hang'"), 'polling', 'it runs still');

# DROP EXTENSION: at once, and the worker ends.
cmp_ok(seconds_of(sub { value('DROP EXTENSION fraud_detect') }), '<', patient(2), 'DROP EXTENSION does not wait for the request');
ok(wait_for(sub { value(workers('postgres')) eq '0' }, 'no worker', patient(3)), 'DROP EXTENSION leaves no worker');
is(value("SELECT count(*) FROM pg_namespace WHERE nspname = 'fraud'"), '0', 'nor a schema');
value('CREATE EXTENSION fraud_detect');
ok($node->poll_query_until('postgres', workers('postgres') =~ s/count\(\*\)/count(*) = 1/r), 'CREATE EXTENSION brings it back');

# Rolled back, it changes nothing.
value('BEGIN; DROP EXTENSION fraud_detect; ROLLBACK');
is(value(workers('postgres')), '1', 'a DROP EXTENSION that was rolled back leaves the worker');

# A launcher that ends leaves no second worker behind.
value("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'fraud_detect launcher'");
ok($node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'fraud_detect launcher'"), 'the launcher is back');
my $settled = 0;
ok( wait_for(
        sub {
            my $now = value("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'fraud_detect ingest'");
            $settled = $now eq '1' ? $settled + 1 : 0;
            return $settled > 40;
        },
        'one worker for two seconds'),
    'there is one worker again, and no other');

# Several databases, each with its own worker; template databases have none.
value('CREATE DATABASE shop');
value('CREATE DATABASE plain');
value('CREATE EXTENSION fraud_detect', 'shop');
ok($node->poll_query_until('postgres', workers('shop') =~ s/count\(\*\)/count(*) = 1/r), 'a second database has its worker');
is(value(workers('plain')), '0', 'a database without the extension has none');

# DROP DATABASE and its like in the middle of a request.
hang('shop');
cmp_ok(seconds_of(sub { value('ALTER DATABASE shop RENAME TO store') }), '<', patient(3), 'a database is renamed in the middle of a request');
ok($node->poll_query_until('postgres', workers('store') =~ s/count\(\*\)/count(*) = 1/r), 'its worker comes back');
cmp_ok(seconds_of(sub { value('CREATE DATABASE copy TEMPLATE store') }), '<', patient(5), 'a database is copied in the middle of a request');
ok($node->poll_query_until('postgres', workers('store') =~ s/count\(\*\)/count(*) = 1/r), 'its worker comes back');
ok($node->poll_query_until('postgres', workers('copy') =~ s/count\(\*\)/count(*) = 1/r), 'the copy has a worker');
# A copy polls nothing until it is told to.
value("SELECT fraud.resume_source('hang')", 'copy');
ok($node->poll_query_until('copy', "SELECT state = 'polling' FROM fraud.source_status WHERE name = 'hang'"), 'a request hangs in the copy');
cmp_ok(seconds_of(sub { value('DROP DATABASE copy') }), '<', patient(3), 'a database is dropped in the middle of a request');
my ($status, undef, $error) = $node->psql('postgres', 'DROP DATABASE nonesuch');
like($error, qr/database "nonesuch" does not exist/, 'DROP DATABASE of nothing says so');

# Who may not drop a database does not stop its worker either.
value('CREATE ROLE nobody LOGIN');
my $pid = value("SELECT pid FROM pg_stat_activity WHERE backend_type = 'fraud_detect ingest' AND datname = 'store'");
($status, undef, $error) = $node->psql('postgres', 'DROP DATABASE store', extra_params => [ '-U', 'nobody' ]);
like($error, qr/must be owner/, 'a stranger drops no database');
is(value("SELECT pid FROM pg_stat_activity WHERE backend_type = 'fraud_detect ingest' AND datname = 'store'"),
    $pid, 'and its worker goes on');

# Settings are read again on SIGHUP: the next request has the new time limit.
reload_with($node, 'fraud_detect.poll_timeout', '300ms');
value("SELECT fraud.add_source('again', '$api->{url}/hang')");
ok($node->poll_query_until('postgres', "SELECT last_error ~* 'timed out' FROM fraud.source_status WHERE name = 'again'"),
    'a worker takes a new setting on reload');
value("SELECT fraud.drop_source(name) FROM fraud.sources");
reload_with($node, 'fraud_detect.poll_timeout', '100s');

# A fast stop in the middle of a request.
hang('postgres');
cmp_ok(seconds_of(sub { $node->stop('fast') }), '<', patient(4), 'a fast stop does not wait for the request');

# Without the preload: scoring and ingestion work, polling says why it does not.
my $bare = new_server('bare', preload => 0);
my $payment = payment();
is($bare->safe_psql('postgres', "SELECT status FROM fraud.ingest('$payment')"), 'stored', 'ingestion works without the preload');
is($bare->safe_psql('postgres', 'SELECT fraud_score(t) = score FROM fraud.transactions t'), 't', 'so does scoring');
my (undef, undef, $warning) = $bare->psql('postgres', "SELECT fraud.add_source('x', 'http://127.0.0.1:1/')");
like($warning, qr/WARNING:  nothing is polled or sent: fraud_detect is not in shared_preload_libraries/, 'add_source says that nothing polls');
like($warning, qr/HINT:  Add it to shared_preload_libraries/, 'and what to do');

# Payments are UTF-8, so other encodings are refused before anything is stored.
$bare->safe_psql('postgres', "CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0");
(undef, undef, $error) = $bare->psql('latin', 'CREATE EXTENSION fraud_detect');
like($error, qr/needs a database with encoding UTF8, not LATIN1/, 'a database of another encoding is refused');
$bare->stop;

done_testing();
