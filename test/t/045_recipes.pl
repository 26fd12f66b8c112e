# docs/recipes.md as it stands, on small files of those layouts: from CSV to a promoted model and
# a row that is decided, in at most eight statements each.
use strict;
use warnings;

use FraudDetect;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('main', conf => "fraud_detect.max_training_workers = 1\n");
my $files = PostgreSQL::Test::Utils::tempdir;
system('python3', "$ENV{FRAUD_TREE}/test/recipes/make_files.py", $files) == 0 or die 'no files';
chdir $files or die $!;    # where \copy finds them

open(my $page, '<', "$ENV{FRAUD_TREE}/docs/recipes.md") or die $!;
my ($title, %recipes, @order);
while (<$page>)
{
    $title = $1 if /^## (.*)/;
    next unless /^```sql/;
    my $sql = '';
    while (<$page>) { last if /^```/; $sql .= $_ }
    push @order, $title;
    $recipes{$title} = $sql;
}
is(scalar @order, 5, 'five layouts');

# What the last statement of each comes to.
my %decided = (
    (map { my ($name, $stream) = @$_;
        ($name => "SELECT decision, cardinality(reasons) > 0 FROM fraud.stream_decisions WHERE stream = '$stream' ORDER BY decision_id DESC LIMIT 1") }
        ['ULB credit card', 'creditcard'], ['PaySim', 'paysim'], ['BankSim', 'banksim'], ['IEEE-CIS', 'ieee']),
    Sparkov => q{SELECT t.decision, cardinality(a.reasons) > 0 FROM fraud.transactions t JOIN fraud.alerts a USING (card, transaction_id) WHERE transaction_id = 'live-1'});

for my $name (@order)
{
    my @statements = grep { /\S/ } split /\n/, $recipes{$name};
    cmp_ok(scalar @statements, '<=', 8, "$name: at most eight statements");
    my ($status, $out, $err) = $node->psql('postgres', $recipes{$name}, on_error_stop => 1);
    is($status, 0, "$name: each of them runs") or diag($err);
    like($node->safe_psql('postgres', $decided{$name}), qr/^(review|block)\|t$/, "$name: what comes in is decided");
}

# The wide one has them all.
is($node->safe_psql('postgres', q{SELECT count(*) FROM pg_attribute WHERE attrelid = 'ieee'::regclass AND attnum > 0}), '434', '434 columns');
is($node->safe_psql('postgres', q{SELECT count(*) FROM fraud.feature_catalog WHERE feature_set = 'ieee'}), '432', 'all but id, time and label are features, and a window');
is($node->safe_psql('postgres', "SELECT count(*) FROM fraud.verify_parity('$_', 50)"), '0', "$_: the same offline and online") for qw(creditcard paysim banksim);

done_testing();
