# pg_cron runs the jobs, in whichever database of the server it lives, and days that
# were missed are made up for.
use strict;
use warnings;

use FraudDetect;
use PostgreSQL::Test::Utils;
use Test::More;

my ($libraries) = run_command([ 'pg_config', '--pkglibdir' ]);
plan skip_all => 'pg_cron is not installed' unless -e "$libraries/pg_cron.so";

my $node = new_server('main', preload => 0, conf => <<'CONF');
shared_preload_libraries = 'pg_cron,fraud_detect'
cron.database_name = 'postgres'
cron.use_background_workers = on
fraud_detect.report_hour = 0
CONF
sub value { return $node->safe_psql($_[1] // 'postgres', $_[0]) }
sub failure { my ($out, $err); $node->psql($_[1] // 'postgres', $_[0], stderr => \$err); return $err }

like(failure('SELECT fraud.schedule()'), qr/"pg_cron" is not installed.*HINT:  CREATE EXTENSION pg_cron/s, 'without the extension it says what to do');
value('CREATE EXTENSION pg_cron');

# Two days were missed: one with a payment, one without. (The days are those of now,
# whatever the clock says when the jobs have run.)
my $today = value('SELECT current_date');
my $moment = value("SELECT extract(epoch FROM ('$today'::date - 2)::timestamptz + interval '3 hours')::bigint * 1000");
my $payment = payment(current_time => $moment);
is(value("SELECT status FROM fraud.ingest('$payment')"), 'stored', 'a payment of the day before yesterday');
is(value("SELECT string_agg(job, chr(32) ORDER BY job) FROM fraud.schedule(first_day => '$today'::date - 2)"), 'health partitions purge records reports retention rollups', 'the jobs are set up');
my $jobs = "SELECT string_agg(jobname || '|' || schedule || '|' || database, ' ' ORDER BY jobname) FROM cron.job WHERE jobname ~ 'fraud'";
my $before = value($jobs);
value('SELECT fraud.schedule()');
is(value($jobs), $before, 'doing it again changes nothing');
is(value("SELECT count(*) FROM cron.job WHERE jobname LIKE 'fraud\\_detect:postgres:%'"), '8', 'a job each, and one for the log of pg_cron');

# Each minute, so as not to wait for five.
value("UPDATE cron.job SET schedule = '* * * * *' WHERE jobname ~ ':(reports|partitions|purge|health|cron_log)\$'");
ok(wait_for(sub { value('SELECT count(*) FROM fraud.job_state WHERE succeeded_at IS NOT NULL') == 7 }, 'all jobs ran', 300), 'the jobs run');
is(value("SELECT day - '$today'::date, revision, payments FROM fraud.daily_reports WHERE day < '$today' ORDER BY day"), "-2|1|1\n-1|1|0", 'the missed days are closed, once');
is(value("SELECT count(*) FROM fraud._log"), '0', 'the rollups are refreshed');
is(value("SELECT string_agg(item || ' ' || status, ', ') FROM fraud.health() WHERE item ~ '^(job|closed|pg_cron|partitions)' AND status <> 'ok'"), '', 'and all is well');
ok(wait_for(sub { value("SELECT count(*) FROM cron.job_run_details WHERE status = 'succeeded' AND command ~ 'run_job'") >= 4 }, 'runs succeeded'), 'pg_cron says so too');
is(value("SELECT count(*) FROM cron.job_run_details WHERE status = 'failed'"), '0', 'none of them failed');

# Another database, which pg_cron does not live in.
value('CREATE DATABASE shop');
value('CREATE EXTENSION fraud_detect', 'shop');
my $said = failure('SELECT fraud.schedule()', 'shop');
like($said, qr/lives in database "postgres".*DETAIL:.*schedule_in_database.*HINT:  CREATE EXTENSION dblink/s, 'elsewhere it says how to get there');
my ($statement) = $said =~ /run in database "postgres": (.*)\n/;
is(value($statement), '8', 'the statement that it gives does it');
value("SELECT cron.unschedule(jobid) FROM cron.job WHERE database = 'shop' OR jobname ~ ':shop:'");
value('CREATE EXTENSION dblink', 'shop');
value('SELECT fraud.schedule()', 'shop');
is(value("SELECT string_agg(DISTINCT database, ' ') FROM cron.job WHERE jobname ~ ':shop:(rollups|reports)'"), 'shop', 'with dblink it is done, for the database at hand');
ok(wait_for(sub { value("SELECT count(*) FROM fraud.job_state WHERE job = 'rollups' AND failures = 0", 'shop') == 1 }, 'the job of the other database ran', 300), 'and runs there');

# Databases whose names look like a pattern for others', or are as long as can be.
my @odd = ('sh%', 'shop:rollups', 'x' x 63);
for my $name (@odd)
{
    value(qq(CREATE DATABASE "$name"));
    value('CREATE EXTENSION fraud_detect; CREATE EXTENSION dblink', $name);
    value('SELECT fraud.schedule()', $name);
    is(value("SELECT count(*) FROM cron.job WHERE database = '$name'"), '7', 'a database of any name has its jobs');
}
is(value('SELECT fraud.unschedule()', $_), '8', 'and takes them off, and no others') for @odd;

is(value('SELECT fraud.unschedule()'), '8', 'the jobs are removed');
is(value("SELECT string_agg(DISTINCT action || ' ' || (who = current_user), ', ') FROM fraud.audit_log WHERE object_kind = 'jobs'"),
    'schedule true, unschedule true', 'both are noted');
is(value("SELECT count(*) FROM cron.job WHERE jobname ~ ':shop:'"), '8', 'those of the other database are not');
is(value('SELECT fraud.unschedule()', 'shop'), '8', 'until it asks');
is(value('SELECT count(*) FROM cron.job'), '0', 'nothing is left');

# An operator, with the one grant that the docs name.
value("CREATE ROLE clerk; CREATE ROLE op LOGIN; SELECT fraud.grant_access(r, 'operator') FROM unnest('{clerk,op}'::text[]) r");
sub as_role
{
    my ($role, $sql) = @_;
    my ($status, $out, $err) = $node->psql('postgres', "SET SESSION AUTHORIZATION $role; $sql");
    return $out . $err;
}
like(as_role('clerk', 'SELECT fraud.schedule()'), qr/role "clerk" may not log in.*session of the role/s, 'a role that cannot have sessions is refused');
like(as_role('op', 'SELECT fraud.schedule()'), qr/permission denied for schema cron.*HINT:  GRANT USAGE ON SCHEMA cron TO op;/s, 'without it the error names it');
value('GRANT USAGE ON SCHEMA cron TO op');
is(as_role('op', 'SELECT count(*) FROM fraud.schedule()'), '7', 'with it an operator sets up the jobs');
is(value("SELECT string_agg(DISTINCT username || ' ' || database, ',') FROM cron.job"), 'op postgres', 'which are his, in this database');
value("UPDATE cron.job SET schedule = '* * * * *'");
my $runs = "FROM cron.job_run_details WHERE username = 'op'";
ok(wait_for(sub { value("SELECT count(DISTINCT command) $runs AND status IN ('succeeded', 'failed')") == 8 }, 'all jobs ran', 150), 'they run');
is(value("SELECT string_agg(DISTINCT command || ': ' || return_message, chr(10)) $runs AND status = 'failed'"), '', 'with his rights, and none fails');
is(value('SELECT count(*) FROM fraud.job_state WHERE failures > 0'), '0', 'nor does what they do');
# Two roles that both set them up have one set.
value("CREATE ROLE op2 LOGIN; SELECT fraud.grant_access('op2', 'operator'); GRANT USAGE ON SCHEMA cron TO op2");
like(as_role('op2', 'SELECT count(*) FROM fraud.schedule()'), qr/^7.*NOTICE:  the jobs are set up already, by role "op"/s, 'another operator who sets them up is told whose they are');
like(failure('SELECT fraud.schedule()'), qr/NOTICE:  the jobs are set up already, by role "op"/, 'a superuser too');
is(value("SELECT count(*), string_agg(DISTINCT username, ' ') FROM cron.job"), '8|op', 'and there is one set');
like(value("SELECT detail FROM fraud.health() WHERE item = 'pg_cron'"), qr/the jobs are those of role "op"/, 'health says whose');
like(as_role('op2', 'SELECT fraud.unschedule()'), qr/ERROR:  the jobs are those of role "op"\nHINT:  That role calls fraud.unschedule\(\), or a superuser does/, 'who did not set them up does not take them off');
is(value('SELECT count(*) FROM cron.job'), '8', 'none of them');
is(as_role('op', 'SELECT fraud.unschedule()'), '8', 'he does');
is(as_role('op2', 'SELECT count(*) FROM fraud.schedule()'), '7', 'then another may');
is(value("SELECT count(*), string_agg(DISTINCT username, ' ') FROM cron.job"), '8|op2', 'and they are his');
value('SELECT fraud.unschedule()');
is(value('SELECT count(*) FROM cron.job'), '0', 'a superuser takes them off, whoever set them up');
# Who set them up is gone: the jobs go with him, and do not stand in the way.
is(as_role('op2', 'SELECT count(*) FROM fraud.schedule()'), '7', 'set up again');
value('SELECT fraud.revoke_access($$op2$$, $$operator$$); REVOKE USAGE ON SCHEMA cron FROM op2; DROP ROLE op2');
is(as_role('op', 'SELECT count(*) FROM fraud.schedule()'), '7', 'those of a role that was dropped are in nobody\'s way');
is(as_role('op', 'SELECT fraud.unschedule()'), '8', 'and he takes them off again');

# What docs/operations.md gives an operator to call, he can.
my $docs = PostgreSQL::Test::Utils::slurp_file("$ENV{FRAUD_TREE}/docs/operations.md");
my @statements = map { split /;[^\n]*\n/ } $docs =~ /```sql operator\n(.*?)```/sg;
cmp_ok(scalar @statements, '>', 15, 'the docs have statements for an operator');
value("SELECT fraud.add_source('shop', 'https://payments.invalid/'); SELECT fraud.add_channel('desk', 'notify', 'desk', takes => '{health}')");
value("SELECT fraud.schedule()");
for my $statement (grep { /\S/ } @statements)
{
    my ($status, $out, $err) = $node->psql('postgres', "SET SESSION AUTHORIZATION op; BEGIN; $statement; ROLLBACK");
    unlike($err, qr/ERROR/, $statement =~ s/\s+/ /gr) or diag($err);
}

done_testing();
