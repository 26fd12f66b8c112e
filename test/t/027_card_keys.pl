# The keys of card numbers: in files, changed in other sessions and while payments come,
# after a restore and on a standby; and who tries numbers, across sessions and restarts.
use strict;
use warnings;

use FraudDetect;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('main', init => { allows_streaming => 1 });
sub value { return $node->safe_psql($_[1] // 'postgres', $_[0]) }

# The id that another language gives the number under the key.
sub derived
{
    my ($key, $number) = @_;
    my $hex = `python3 -c "import hmac, sys; print(hmac.new(sys.argv[1].encode(), sys.argv[2].encode(), 'sha256').hexdigest()[:32])" '$key' $number`;
    chomp $hex;
    substr($hex, 12, 1) = '8';
    substr($hex, 16, 1) = sprintf '%x', (hex(substr($hex, 16, 1)) & 3) | 8;
    $hex =~ s/^(.{8})(.{4})(.{4})(.{4})(.{12})$/$1-$2-$3-$4-$5/;
    return $hex;
}

my $next = 0;
sub pay    # returns the status, or the error
{
    my ($number, $database) = @_;
    my $id = 'k-' . ++$next;
    my ($status, $out, $err) =
      $node->psql($database // 'postgres', "SELECT status FROM fraud.ingest('" . payment(trans_num => qq("$id"), cc_num => $number) . "')");
    return $status == 0 ? $out : $err;
}
sub card_of { return value("SELECT card FROM fraud.transactions WHERE transaction_id = 'k-$next'", $_[0]) }

sub set_files
{
    my ($files) = @_;
    my $marker = value('SELECT pg_conf_load_time()');
    value("ALTER SYSTEM SET fraud_detect.card_key_file = '$files'");
    $node->reload;
    $node->poll_query_until('postgres', "SELECT pg_conf_load_time() > '$marker' AND current_setting('fraud_detect.card_key_file') = '$files'") or die;
}

# ------------------------------------------------------------------- key files
my %key = map { $_ => $_ x 40 } qw(a b c);
my %file;
for (sort keys %key)
{
    $file{$_} = $node->basedir . "/$_.key";
    append_to_file($file{$_}, "$key{$_}\n");
}
set_files($node->basedir . '/none.key');
like(pay(4000000000000002), qr/could not read the card key file/, 'a key file that is not there is an error');
append_to_file($node->basedir . '/short.key', "short\n");
set_files($node->basedir . '/short.key');
like(pay(4000000000000002), qr/has 5 bytes.*DETAIL:  A key has 32 to 4096 bytes/s, 'so is one that is too short');

# Before the first number, the file's key is taken, without waiting for anybody. (The month and
# the merchant are there already: those who make them do wait for each other.)
set_files($file{a});
value("SELECT status FROM fraud.ingest('" . (payment(trans_num => '"by id"', card => '"00000000-0000-8000-8000-000000000001"') =~ s/"cc_num":\d+,//r) . "')");
my $slow = $node->background_psql('postgres');
$slow->query_safe("BEGIN; SELECT status FROM fraud.ingest('" . payment(trans_num => '"slow"', cc_num => 4000000000000010) . "')");
is(pay(4000000000000002), 'stored', 'while another session takes the file for the first time, payments are stored');
is(card_of(), derived($key{a}, 4000000000000002), 'card is HMAC-SHA256 of the number, as another language computes it');
$slow->query_safe('COMMIT');
$slow->quit;
is(value('SELECT count(*), count(key) FROM fraud.card_keys'), '1|0', 'no key is left in the table');
my $card = card_of();
is(value("SELECT status FROM fraud.health() WHERE item = 'card key'"), 'ok', 'the key is in order');

# A file that is another now is refused, whatever it was changed by.
for (
    [ 'changed', sub { unlink $file{a}; append_to_file($file{a}, $key{b}) }, sub { unlink $file{a}; append_to_file($file{a}, $key{a}) } ],
    [ 'another', sub { set_files($file{b}) }, sub { set_files($file{a}) } ],
    [ 'named no more', sub { set_files('') }, sub { set_files($file{a}) } ])
{
    my ($what, $change, $back) = @$_;
    $change->();
    like(pay(4000000000000002), qr/ERROR:  fraud_detect.card_key_file does not hold the card key in use.*DETAIL:.*stranger.*HINT:/s, "a file that is $what is refused");
    like((fails("SELECT fraud.assess('" . payment() . "')"))[1], qr/does not hold the card key in use/, 'by fraud.assess too');
    is(value("SELECT status FROM fraud.health() WHERE item = 'card key'"), 'error', 'fraud.health() says so');
    $back->();
    is(pay(4000000000000002), 'stored', 'and as it was, payments go on');
}
is(value('SELECT count(*) FROM fraud.customers'), '3', 'nobody has become a stranger');

# The key is changed with no moment in which payments are refused.
is((fails("SELECT fraud.rotate_card_key()"))[0], 1, 'without a new file there is nothing to change over to');
set_files("$file{a}, $file{b}");
is(pay(4000000000000002), 'stored', 'a second file changes nothing');
is(value("SELECT status FROM fraud.health() WHERE item = 'card key'"), 'warning', 'but that it is not in use is seen');
value('SELECT fraud.rotate_card_key()');
is(pay(4000000000000002), 'stored', 'with the new key payments go on');
is(card_of(), $card, 'of the same customer');
is(pay(4000000000000028), 'stored', 'and of a new one');
is(card_of(), derived($key{b}, 4000000000000028), 'whose id is made with the new key');
is(value('SELECT count(*) FROM fraud.customer_ids WHERE card = ' . "'$card'"), '2', 'a number seen again has a hash under both');
set_files($file{b});
like(pay(4000000000000002), qr/lacks a card key that is still in force.*HINT:.*destroy_card_key/s, 'the old file is needed while its key is in force');
value('SELECT fraud.destroy_card_key(key_id) FROM fraud.card_keys WHERE retired_at IS NOT NULL');
is(pay(4000000000000002), 'stored', 'and not after it was destroyed');
is(card_of(), $card, 'who came again is known');
is(pay(4000000000000010), 'stored', 'who did not');
is(card_of(), derived($key{b}, 4000000000000010), 'is a new customer');
set_files("$file{a}, $file{b}");
like((fails('SELECT fraud.rotate_card_key()'))[1], qr/names no file with a new key/, 'a key that was in use does not come back');
set_files($file{c});
like((fails('SELECT fraud.rotate_card_key()'))[1], qr/does not hold the card key in use.*old_is_lost/s, 'the old file must be named beside the new one');
value('SELECT fraud.rotate_card_key(old_is_lost => true)');
is(pay(4000000000000002), 'stored', 'unless it is lost');
is(card_of(), derived($key{c}, 4000000000000002), 'when all are strangers');

# From the table to a file: refused until it is said.
value('CREATE DATABASE other');
value('CREATE EXTENSION fraud_detect', 'other');
set_files('');
is(pay(4000000000000002, 'other'), 'stored', 'with a key in the table');
my $other = card_of('other');
set_files($file{c});
like(pay(4000000000000002, 'other'), qr/does not hold the card key in use.*HINT:  To change over to the file's key: SELECT fraud.rotate_card_key/s, 'a file that comes later is refused');
value('SELECT fraud.rotate_card_key()', 'other');
is(pay(4000000000000002, 'other'), 'stored', 'until the key is changed');
is(card_of('other'), $other, 'which customers do not notice');

sub fails
{
    my ($statement, $database) = @_;
    my ($status, undef, $err) = $node->psql($database // 'postgres', $statement);
    return ($status != 0 ? 1 : 0, $err);
}

# ------------------------------------------------------- changes while payments come
value('CREATE DATABASE busy');
set_files('');
value('CREATE EXTENSION fraud_detect', 'busy');
is(pay(4000000000000002, 'busy'), 'stored', 'the month and the merchant are there');
my $open = $node->background_psql('busy');
$open->query_safe("BEGIN; SELECT status FROM fraud.ingest('" . payment(trans_num => '"o-1"', cc_num => 4000000000000101) . "')");
ok(seconds_of(sub { value('SELECT fraud.rotate_card_key()', 'busy') }) < 4, 'the key is changed while a payment is under way');
# The same new number in a session that knows both keys: it waits for the first, and sees that they disagree.
my ($out, $err) = ('', '');
my $second = $node->background_psql('busy', on_error_stop => 0);
$second->query_until(qr/begun/, "\\echo begun\nSELECT status FROM fraud.ingest('" . payment(trans_num => '"o-2"', cc_num => 4000000000000101) . "');\n");
ok(wait_for(sub { value("SELECT count(*) FROM pg_stat_activity WHERE datname = 'busy' AND wait_event_type = 'Lock'") eq '1' }, 'waits'), 'two sessions with other keys that see a new number at once wait for each other');
$open->query_safe('COMMIT');
$open->quit;
$second->quit;
is(value("SELECT count(*), count(DISTINCT card) FROM fraud.transactions WHERE transaction_id ~ '^o-'", 'busy'), '1|1', 'and do not make two customers of it');
is(value("SELECT status FROM fraud.ingest('" . payment(trans_num => '"o-2"', cc_num => 4000000000000101) . "')", 'busy'), 'stored', 'what was refused is stored when it is sent again');
is(value("SELECT count(*), count(DISTINCT card) FROM fraud.transactions WHERE transaction_id ~ '^o-'", 'busy'), '2|1', 'for the same customer');

# Sessions that live long notice each change; numbers stay one customer each.
my $script = $node->basedir . '/pay.sql';
append_to_file($script, <<'SQL');
\set n random(1, 40)
SELECT count(*) FROM fraud.ingest(jsonb_build_object('cc_num', 4000000000001000 + :n, 'trans_num', gen_random_uuid(), 'amt', 1, 'merchant', 'm', 'unix_time', 1700000000));
SQL
my $bench = IPC::Run::start([ 'pgbench', '-n', '-T', '4', '-c', '4', '--max-tries=10', '-f', $script, $node->connstr('busy') ], '>', \$out, '2>', \$err);
for (1 .. 6)
{
    value('SELECT fraud.rotate_card_key()', 'busy');
    value('SELECT fraud.destroy_card_key(key_id) FROM (SELECT key_id FROM fraud.card_keys WHERE retired_at IS NOT NULL ORDER BY retired_at DESC OFFSET 3) o', 'busy');
    $node->poll_query_until('busy', 'SELECT count(*) > 50 FROM fraud.transactions') if $_ == 1;
    Time::HiRes::usleep(300_000);
}
IPC::Run::finish($bench);
like($out, qr/number of failed transactions: 0/, 'no payment failed') or diag($err);
is(value("SELECT count(*), count(DISTINCT c.last_four) FROM fraud.customers c WHERE c.last_four ~ '^10[0-4]'", 'busy'), '40|40', 'while keys change, each number is one customer');
is(value('SELECT count(*) FROM (SELECT FROM fraud.customer_ids GROUP BY kind, key_id, hash HAVING count(DISTINCT card) > 1) x', 'busy'), '0', 'each hash of one');

# Who changes it at once takes turns.
my $rotate = $node->basedir . '/rotate.sql';
append_to_file($rotate, 'SELECT fraud.rotate_card_key();');
$node->command_ok([ 'pgbench', '-n', '-t', '5', '-c', '3', '-f', $rotate, $node->connstr('busy') ], 'three sessions change the key at once');
is(value('SELECT count(*) FILTER (WHERE retired_at IS NULL), count(*) >= 22 FROM fraud.card_keys', 'busy'), '1|t', 'and one is in use');

# ------------------------------------------------------------------ restore
my $known = value("SELECT card FROM fraud.customers WHERE last_four = '1001'", 'busy');
value("UPDATE fraud.card_keys SET created_at = created_at + interval '1 day'", 'busy');    # a clock that was ahead
my $dump = $node->basedir . '/dump.sql';
$node->command_ok([ 'pg_dump', '-f', $dump, $node->connstr('busy') ], 'pg_dump');
value('CREATE DATABASE copy');
$node->command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', $dump, $node->connstr('copy') ], 'psql takes it');
is(pay(4000000000001001, 'copy'), 'stored', 'a restored database takes payments');
is(card_of('copy'), $known, 'by the keys that were dumped, whatever the clocks said');
value('SELECT fraud.rotate_card_key()', 'copy');
is(pay(4000000000001001, 'copy'), 'stored', 'whose key can be changed');
is(card_of('copy'), $known, 'as before');
is(value('SELECT count(*) FROM fraud.card_keys WHERE retired_at IS NULL', 'copy'), '1', 'what CREATE EXTENSION made is gone then');

# ------------------------------------------------------------------ standby
my $backup = 'backup';
$node->backup($backup);
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, $backup, has_streaming => 1);
$standby->start;
my $seen = "SELECT (features ->> 'count_30d')::float8 > 0 FROM fraud.assess('" . payment(cc_num => 4000000000001001, current_time => 1700000100000) . "')";
value('SELECT fraud.rotate_card_key()', 'busy');
$node->wait_for_catchup($standby);
is($standby->safe_psql('busy', $seen), 't', 'a standby finds customers by the keys of its primary');
value("CREATE ROLE asker LOGIN; CREATE ROLE asker2; GRANT asker2 TO asker");
value("SELECT fraud.grant_access(r, a) FROM unnest('{asker,asker2}'::text[]) r, unnest('{ingest,analyst,operator}'::text[]) a", $_) for qw(postgres busy);
value('ALTER SYSTEM SET fraud_detect.card_number_limit = 10');
value('ALTER SYSTEM SET fraud_detect.card_number_warning = 30');
$node->reload;
$node->wait_for_catchup($standby);
$standby->append_conf('postgresql.conf', "fraud_detect.card_number_limit = 10\n");
$standby->reload;
set_files($file{c});
my $ask = "SELECT score IS NOT NULL FROM fraud.assess(jsonb_build_object('cc_num', 4000000000002000 + %d, 'trans_num', 'a', 'amt', 1, 'merchant', 'm', 'unix_time', 1700000000))";
sub asked    # how many of the numbers a role is told of, each in a session of its own
{
    my ($server, $from, $to, %options) = @_;
    my $told = 0;
    for my $n ($from .. $to)
    {
        my ($status, undef, $stderr) = $server->psql($options{database} // 'postgres', ($options{before} // '') . sprintf("BEGIN; $ask; ROLLBACK", $n), extra_params => [ '-U', 'asker' ]);
        $told++ if $status == 0;
    }
    return $told;
}
$standby->poll_query_until('postgres', "SELECT current_setting('fraud_detect.card_number_limit') = '10'");
is(asked($standby, 1, 15, database => 'busy'), 10, 'a standby counts too');
$standby->stop;

# ---------------------------------------------------------------- who tries numbers
is(asked($node, 1, 15), 10, 'a role is told of as many numbers as the limit, rolled back, in sessions of their own');
is(asked($node, 1, 10), 10, 'asking again is free');
is(asked($node, 16, 20, before => 'SET ROLE asker2; '), 0, 'and SET ROLE gains nothing');
my (undef, undef, $refused) = $node->psql('postgres', sprintf($ask, 99), extra_params => [ '-U', 'asker' ]);
like($refused, qr/ERROR:  too many different card numbers within an hour.*DETAIL:.*card_number_limit is 10\..*HINT:  Give "card"/s, 'the error says what helps');
ok(wait_for(sub { slurp_file($node->logfile) =~ /limit of role "asker"/ }, 'noted'), 'the worker notes who was refused');
is(value("SELECT detail FROM fraud.health() WHERE item = 'card numbers'") =~ /role "asker" asked for more/, 1, 'fraud.health() warns');
is(value("SELECT count(*) FROM generate_series(1, 50) n, LATERAL fraud.assess(jsonb_build_object('cc_num', 4000000000003000 + n, 'trans_num', 'a', 'amt', 1, 'merchant', 'm', 'unix_time', 1700000000))"), '50', 'the owner is not limited');

# A source of his own: what cannot be stored goes to the dead letters, whose card only the owner sees.
my $api = start_api();
value("SELECT fraud.grant_access('asker', 'operator')");
my ($denied) = fails('SET ROLE asker; SELECT card FROM fraud.ingest_errors');
is($denied, 1, 'an operator sees no card of a dead letter');
my $rejected = value("SET ROLE asker; SELECT count(*) FROM fraud.ingest((SELECT jsonb_agg(jsonb_build_object('cc_num', 4000000000004000 + n, 'trans_num', 'r-' || n, 'amt', 'x', 'merchant', 'm')) FROM generate_series(1, 20) n))");
is($rejected, '20', 'rejected payments are kept');
is(value("SELECT count(*), count(card) FROM fraud.ingest_errors WHERE transaction_id ~ '^r-'"), '20|0', 'beyond the limit without the card');
# What is polled counts for the role that added the source.
value("SET ROLE asker; SELECT fraud.add_source('theirs', '$api->{url}/future', poll_interval => '1 s')");
value("SELECT fraud.add_source('ours', '$api->{url}/future', poll_interval => '1 s')");
ok($node->poll_query_until('postgres', "SELECT count(DISTINCT source) = 2 FROM fraud.ingest_errors WHERE source IN ('theirs', 'ours')"), 'payments of two sources are rejected');
is(value("SELECT source, bool_or(card IS NOT NULL), bool_and(last_four IS NOT NULL) FROM fraud.ingest_errors WHERE source IN ('theirs', 'ours') GROUP BY 1 ORDER BY 1"), "ours|t|t\ntheirs|f|t", "the owner's have a card, those of a role beyond its limit have none");
value("SELECT fraud.drop_source(s) FROM unnest('{theirs,ours}'::text[]) s");

# Many that begin and end alike, rolled back: the alarm stays.
value("BEGIN; SET LOCAL ROLE asker; SELECT count(*) FROM fraud.ingest((SELECT jsonb_agg(jsonb_build_object('cc_num', (400000 * 1000000::bigint + n) * 10000 + 7777, 'trans_num', 'p-' || n, 'amt', 1, 'merchant', 'm', 'unix_time', 1700000000)) FROM generate_series(1, 100) n)); ROLLBACK");
is(value("SELECT kind, role_name, last_four FROM fraud._number_alarms() WHERE kind = 'pattern'"), 'pattern|asker|7777', 'one who tries what stands between the first six and last four digits is noticed');
ok(wait_for(sub { slurp_file($node->logfile) =~ /warn of role "asker".*7777/ }, 'noted'), 'and noted by the worker');
unlike(slurp_file($node->logfile), qr/400000\d{6}7777/, 'without a number');

# The counts begin anew with the server; without the preload the owner alone asks by number.
value("SELECT fraud.ingest('" . payment(trans_num => '"last"', cc_num => 4000000000000002) . "')");
my $by_card = "SELECT score IS NOT NULL FROM fraud.assess(jsonb_build_object('card', (SELECT card FROM fraud.transactions WHERE transaction_id = 'last'), 'trans_num', 'a', 'amt', 1, 'merchant', 'm', 'unix_time', 1700000000))";
$node->restart;
is(asked($node, 30, 31), 2, 'after a restart the counts begin anew');
$node->append_conf('postgresql.conf', "shared_preload_libraries = ''");
$node->restart;
is(value(sprintf($ask, 1)), 't', 'without the preload the owner asks by number');
(undef, undef, $refused) = $node->psql('postgres', sprintf($ask, 1), extra_params => [ '-U', 'asker' ]);
like($refused, qr/ERROR:  only the owner of fraud_detect may assess by card number here.*HINT:  Give "card"/s, 'and nobody else');
is(value("SET ROLE asker; $by_card"), 't', 'but by card');

done_testing();
