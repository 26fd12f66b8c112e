# What an API shows once is stored, whatever is in the way when it has come: a locked table, no room,
# a connection that breaks behind it.
use strict;
use warnings;

use FraudDetect;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $api = start_api();
my $node = new_server('main', conf => "jit_above_cost = 0\n");
sub value { return $node->safe_psql('postgres', $_[0]) }
sub source { return value("SELECT state || ' ' || coalesce(last_error, '') FROM fraud.source_status WHERE name = '$_[0]'") }
# How many of the payments that were shown, up to the last that is there, are not.
my $lost = "SELECT count(*) FROM generate_series(1, (SELECT max(substr(transaction_id, 6)::int) FROM fraud.payment_keys WHERE transaction_id ~ '^once-[0-9]+\$')) n"
  . " WHERE NOT EXISTS (SELECT FROM fraud.payment_keys k WHERE k.transaction_id = 'once-' || n)";
my $last = "SELECT coalesce(max(substr(transaction_id, 6)::int), 0) FROM fraud.payment_keys WHERE transaction_id ~ '^once-[0-9]+\$'";

# Goes on until payments come again that were shown from now on.
sub goes_on
{
    my $from = value($last);
    return $node->poll_query_until('postgres', "SELECT ($last) > $from + 2");
}

value("SELECT fraud.add_source('once', '$api->{url}/once', poll_interval => '100 milliseconds')");
ok(goes_on(), 'payments come');

# ------------------------------------------------------------- locked tables
# Each table by itself, as VACUUM FULL, CLUSTER and ALTER TABLE have it.
my @tables = split /\n/, value("SELECT c.oid::regclass FROM pg_class c WHERE c.relnamespace = 'fraud'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition ORDER BY 1");
my $holder = $node->background_psql('postgres');
for my $table (@tables)
{
    $holder->query_safe("BEGIN; LOCK TABLE $table IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(0.4); COMMIT");
}
ok(goes_on(), scalar(@tables) . ' tables were locked one after the other, and payments go on');
is(value($lost), '0', 'none that was shown meanwhile is lost');
my $log = slurp_file($node->logfile);
like($log, qr/source "once": poll failed: could not keep payments: canceling statement due to lock timeout \(tried again each second\)/, 'some could not be kept at once');
unlike($log, qr/"fraud_detect (ingest|scorer)" \(PID \d+\) exited/, 'no worker has died of it');

# Said while it lasts, and by health, which waits for nobody either.
$holder->query_safe('BEGIN; LOCK TABLE fraud.customer_ids, fraud.health_states IN ACCESS EXCLUSIVE MODE');
ok($node->poll_query_until('postgres', "SELECT detail LIKE 'failing, %could not keep payments: %' AND advice LIKE 'what has come is %' FROM fraud.health() WHERE item = 'source once'"), 'health says what cannot be kept');
like(value("SELECT detail FROM fraud.health() WHERE item = 'health'"), qr/since when: somebody has locked what they are read of\. session \d+ .* has locks on fraud\./, 'and by whom it is locked itself');
$holder->query_safe('COMMIT');
$holder->quit;
ok($node->poll_query_until('postgres', "SELECT status = 'ok' FROM fraud.health() WHERE item = 'source once'"), 'all is well as soon as it is free');

# ------------------------------------------------------- statements cancelled
for (1 .. 20)
{
    value("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE backend_type = 'fraud_detect ingest'");
    usleep(50_000);
}
ok(goes_on(), 'payments go on');

# ------------------------------------------------------------------- no room
# A trigger that says so, as a full disk does.
value(<<'SQL');
CREATE FUNCTION public.full() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = 'disk_full'; END $$;
CREATE TRIGGER full_inbox BEFORE INSERT ON fraud.inbox FOR EACH STATEMENT EXECUTE FUNCTION public.full();
SQL
ok($node->poll_query_until('postgres', "SELECT last_error LIKE 'could not keep payments: could not extend file%' FROM fraud.source_status WHERE name = 'once'"), 'nothing can be kept');
value('CREATE TRIGGER full_state BEFORE UPDATE ON fraud.source_state FOR EACH STATEMENT EXECUTE FUNCTION public.full()');
ok(wait_for(sub { slurp_file($node->logfile) =~ /could not look at the sources: could not extend file/ }, 'it is said'), 'nor noted');
value('DROP TRIGGER full_state ON fraud.source_state; DROP TRIGGER full_inbox ON fraud.inbox');
ok(goes_on(), 'with room payments go on');
is(value($lost), '0', 'and what had come is stored');
value("SELECT fraud.drop_source('once')");

# ---------------------------------------------------- answers that break off
value("SELECT fraud.add_source('cut', '$api->{url}/once-cut', poll_interval => '100 milliseconds', max_poll_payments => 100)");
ok($node->poll_query_until('postgres', "SELECT count(*) >= 4 FROM fraud.payment_keys WHERE transaction_id LIKE 'once-cut-%'"), 'of an answer that breaks off payments are stored');
is(value("SELECT string_agg(n::text, ' ' ORDER BY n) FROM (SELECT substr(transaction_id, 10)::int AS n FROM fraud.payment_keys WHERE transaction_id LIKE 'once-cut-%' ORDER BY n LIMIT 4) f"),
    '1 2 4 5', 'those that are whole');
like(source('cut'), qr/^(failing|polling) the answer was cut off: /, 'the poll is one that failed');
is(value("SELECT count(*) FROM fraud.ingest_errors WHERE source = 'cut'"), '0', 'and half a payment no dead letter');
value("SELECT fraud.drop_source('cut')");
# Where a part of it would say something else: what stands behind the payments, and lines.
value("SELECT fraud.add_source('around', '$api->{url}/once-cut', poll_interval => '100 milliseconds', mapping => '{\"payments\": \"\$.data[*]\", \"fields\": {\"currency\": {\"path\": \"\$.currency\", \"from\": \"envelope\"}}}')");
ok($node->poll_query_until('postgres', "SELECT failures > 1 FROM fraud.source_status WHERE name = 'around'"), 'a source whose payments need what stands around them');
is(value("SELECT stored + waiting FROM fraud.source_status WHERE name = 'around'"), '0', 'gives none of an answer that breaks off');

# ------------------------------------------------------------------ no jit
SKIP:
{
    skip 'no /proc', 1 if !-r "/proc/$$/maps";
    my @compiled = grep { slurp_file("/proc/$_/maps") =~ /llvmjit/ } split /\n/, value("SELECT pid FROM pg_stat_activity WHERE backend_type IN ('fraud_detect ingest', 'fraud_detect scorer', 'fraud_detect notify')");
    is(scalar @compiled, 0, 'no worker compiles its statements');
}

$node->stop;
done_testing();
