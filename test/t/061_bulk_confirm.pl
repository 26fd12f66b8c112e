# An analyst confirms all open cases, as the README does, while payments come in, chargebacks
# arrive and others decide cases: nobody fails, nobody waits for ever.
use strict;
use warnings;

use FraudDetect;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('main', preload => 0, conf => "fraud_detect.alert_window = 1s\ndeadlock_timeout = 50ms\nlog_lock_waits = on\n");
sub value { return $node->safe_psql('postgres', $_[0]) }

value(q{SELECT fraud.promote('payments', (SELECT version FROM fraud.model_aliases WHERE model = 'payments' AND alias = 'champion'), reason => 'all alert', review_at => 0, block_at => 0.5, override_gate => true)});

# 60 cards, each payment an alert.
my $ingest = q{SELECT count(*) FROM fraud.ingest((SELECT jsonb_agg(jsonb_build_object('cc_num', 4000000000000002 + 18 * (random() * 59)::int, 'trans_num', 'b-' || nextval('public.n'),
    'amt', round((random() * 1000)::numeric, 2), 'merchant', 'M' || (random() * 20)::int, 'category', 'c', 'unix_time', extract(epoch FROM now())::bigint)) FROM generate_series(1, 5)))};
value('CREATE SEQUENCE public.n');
value($ingest) for 1 .. 20;
cmp_ok(value("SELECT count(*) FROM fraud.cases WHERE status = 'open'"), '>', 20, 'there are cases');

my $directory = PostgreSQL::Test::Utils::tempdir();
sub script
{
    my ($name, $sql) = @_;
    PostgreSQL::Test::Utils::append_to_file("$directory/$name.sql", "$sql;\n");
    return ('-f', "$directory/$name.sql");
}
my @scripts = (
    script(ingest => $ingest),
    script(confirm => q{SELECT case_id, amount FROM fraud.confirm_cases(ARRAY(SELECT case_id FROM fraud.cases WHERE status = 'open'), 'card was stolen', overrule => true)}),
    script(label => q{SELECT count(*) FROM fraud.label(ARRAY(SELECT transaction_id FROM fraud.alerts ORDER BY random() LIMIT 10), true, 'chargeback')}),
    script(dismiss => q{SELECT count(*) FROM fraud.dismiss_cases(ARRAY(SELECT case_id FROM fraud.cases ORDER BY random() LIMIT 10), 'no fraud', overrule => true)}),
    script(label_one => q{SELECT count(fraud.label(transaction_id, false, 'issuer')) FROM (SELECT transaction_id FROM fraud.alerts ORDER BY random() LIMIT 1) a}),
    script(reopen => q{SELECT count(*) FROM fraud.reopen_cases(ARRAY(SELECT case_id FROM fraud.cases ORDER BY random() LIMIT 5))}));
my ($out, $err) = ('', '');
# A transaction that failed ends its client, and pgbench with another status than 0.
IPC::Run::run([ 'pgbench', '-n', '-c', '5', '-j', '2', '-T', '12', @scripts, $node->connstr('postgres') ], '>', \$out, '2>', \$err);
unlike($err, qr/deadlock/, 'nobody runs into a deadlock');
unlike($err, qr/ERROR/, 'nobody fails') or diag($err);
my ($done) = $out =~ /number of transactions actually processed: (\d+)/;
cmp_ok($done, '>', 60, 'and all go on') or diag($out);
like($out, qr/number of failed transactions: 0 /, 'all of them end well');
is(value('SELECT count(*) FROM fraud.alerts a WHERE NOT EXISTS (SELECT FROM fraud.case_states c WHERE c.card = a.card AND c.case_id = a.case_id)'), '0', 'each alert has its case');
is(value("SELECT count(*) FROM fraud.cases c JOIN fraud.alerts a USING (case_id) JOIN fraud.current_labels l USING (transaction_id) WHERE c.status = 'confirmed' AND a.raised_at < c.status_at AND NOT l.is_fraud AND l.source = 'analyst'"), '0', 'what is confirmed is labelled so');
unlike(PostgreSQL::Test::Utils::slurp_file($node->logfile), qr/deadlock detected/, 'nor does the log know of one');

done_testing();
