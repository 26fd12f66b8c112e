# The statements of all other pages: their names, arguments and syntax are those that there are. What they speak of (case 41, an
# API, a file) is mostly not there, which is no fault of theirs; 045_recipes.pl and 083_book.pl run theirs whole.
use strict;
use warnings;

use FraudDetect;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('main', extension => 0);
$node->safe_psql('postgres', 'CREATE DATABASE stored');
$node->safe_psql('stored', 'CREATE EXTENSION fraud_detect; SELECT fraud.simulate(customers => 20, days => 10)');
$node->safe_psql('postgres', 'CREATE ROLE ana; CREATE ROLE app; CREATE ROLE reporting');

my @pages = grep { !m{/(decisions|recipes|start)\.md$} } glob("$ENV{FRAUD_TREE}/docs/*.md"), glob("$ENV{FRAUD_TREE}/*/README.md");
my $statements = 0;
for my $page (@pages)
{
    my $text = slurp_file($page);
    my @blocks;
    while ($text =~ /^```sql\n(.*?)^```$/msg)
    {
        my ($sql, $line) = ($1, 1 + (substr($text, 0, $-[0]) =~ tr/\n//));
        push @blocks, "\\warn \@$line\n$sql";
    }
    next unless @blocks;
    my $name = $page =~ s{^\Q$ENV{FRAUD_TREE}\E/}{}r;
    (my $database = lc $name) =~ s/\W/_/g;
    $node->safe_psql('postgres', "CREATE DATABASE $database TEMPLATE stored");
    my ($out, $err) = ('', '');
    $node->psql($database, join('', @blocks), stdout => \$out, stderr => \$err, on_error_stop => 0,
        extra_params => [ '-v', 'VERBOSITY=verbose', '-v', 'ECHO=errors', '-v', 'content=' ]);
    my ($line, @faults) = (0);
    # Each error, up to the statement's end. What is left open is written with dots.
    for my $part (split /^(?=(?:psql:.*?)?(?:@\d+$|ERROR:))/m, $err)
    {
        $line = $1 if $part =~ /@(\d+)$/m;
        push @faults, "$name:$line: $part" if $part =~ /ERROR:  (?:42601|42703|42883|42804|42P02|42P18|42725)/ && $part !~ /\x{2026}|\xe2\x80\xa6/ && $part !~ /preview_payments\(body|FROM my_/;
    }
    is(join("\n", @faults), '', "$name: " . @blocks . ' blocks are in good form');
    $statements += @blocks;
    $node->safe_psql('postgres', "DROP DATABASE $database WITH (FORCE)");
}
cmp_ok($statements, '>', 40, 'there are statements');

done_testing();
