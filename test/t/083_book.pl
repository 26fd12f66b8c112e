# README.md, docs/start.md and the tutorials as they stand: each statement runs, and what the page shows
# below a block (```text) is what it answers, but for … in it.
use strict;
use warnings;

use FraudDetect;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('main', extension => 0, conf => "fraud_detect.max_training_workers = 1\n");
$node->append_conf('postgresql.conf', "fraud_detect.max_alert_growth = 3\nfraud_detect.max_alert_share = 0.5\nfraud_detect.max_block_share = 0.2\n");
$node->reload;

# Returns the blocks of a page, each with its line, statements, and what it shows (or undef).
sub blocks_of
{
    my ($page) = @_;
    my ($text, @blocks) = slurp_file("$ENV{FRAUD_TREE}/$page");
    while ($text =~ /^```(sql|text)\n(.*?)^```$/msg)
    {
        my ($kind, $inside) = ($1, $2);
        my $line = 1 + (substr($text, 0, $-[0]) =~ tr/\n//);
        if ($kind eq 'sql') { push @blocks, { line => $line, sql => $inside, shows => undef } }
        else
        {
            die "$page:$line: shows the answer of nothing" if !@blocks || defined $blocks[-1]{shows};
            $blocks[-1]{shows} = $inside;
        }
    }
    return @blocks;
}

# Blanks at the ends of lines, and empty lines, say nothing.
sub tidy { return join "\n", grep { /\S/ } map { s/\s+$//r } split /\n/, $_[0] }

# Of the README: what it supposes to be there, and the one thing that it says is not.
my %before = ('SELECT fraud.grant_access' => 'CREATE ROLE reporting;', 'SELECT fraud.train' => "SELECT fraud.simulate(customers => 200, days => 60);");
my %instead = ('/path/on/the/server/model.ubj' => "$ENV{FRAUD_TREE}/models/payments.ubj");
my $needs_pg_cron = qr/^ERROR:  pg_cron is not loaded\n/m;
my $files = PostgreSQL::Test::Utils::tempdir;
system('python3', "$ENV{FRAUD_TREE}/test/recipes/make_files.py", $files) == 0 or die 'no files';
chdir $files or die $!;    # where \copy finds fraudTrain.csv

for my $page (grep { -f "$ENV{FRAUD_TREE}/$_" } qw(README.md docs/start.md docs/tutorials/first_day.md docs/tutorials/rule.md docs/tutorials/model.md))
{
    my $database = lc($page =~ s/\W/_/gr);
    $node->safe_psql('postgres', "CREATE DATABASE $database");
    my @blocks = blocks_of($page);
    cmp_ok(scalar @blocks, '>', 3, "$page has statements");
    if ($page eq 'README.md')
    {
        for my $block (@blocks)
        {
            $block->{sql} =~ s/\Q$_\E/$instead{$_}/ for keys %instead;
            $block->{sql} =~ s/^(?=\Q$_\E)/$before{$_}\n/ for keys %before;
        }
    }
    # One session a page, which goes on after an error that the page shows.
    my $script = join '', map { "\\echo \@block $_\n\\warn \@block $_\n$blocks[$_]{sql}" } 0 .. $#blocks;
    my ($out, $err) = ('', '');
    $node->psql($database, undef, stdin => '', on_error_stop => 0, stdout => \$out, stderr => \$err,
        extra_params => [ '-A', '-f', write_script($database, "\\pset format aligned\n\\pset tuples_only off\n$script") ]);
    my %out = $out =~ /^\@block (\d+)\n(.*?)(?=^\@block|\z)/msg;
    my %err = "$err\n" =~ /^\@block (\d+)\n(.*?)(?=^\@block|\z)/msg;
    for my $i (0 .. $#blocks)
    {
        my ($line, $shows) = @{ $blocks[$i] }{qw(line shows)};
        my $error = ($err{$i} // 'it did not come to this') =~ s/^psql:\S+:\d+: //mgr;
        $error = join "\n", grep { !/^(NOTICE|CONTEXT|SQL statement)|^PL\/pgSQL/ } split /\n/, $error;
        my $said = tidy(($out{$i} // '') . "\n" . $error);
        ok($said =~ s/$needs_pg_cron//, 'the README needs pg_cron where it says so') if $page eq 'README.md' && $blocks[$i]{sql} =~ /fraud\.schedule/;
        if (!defined $shows) { unlike($said, qr/(ERROR|FATAL|WARNING):|it did not come/, "$page:$line runs") or diag($said) }
        else
        {
            my $expected = join '.*?', map { quotemeta } split /\s*\xe2\x80\xa6\s*/, tidy($shows), -1;
            like($said, qr/\A$expected\z/s, "$page:$line answers what the page shows") or diag("page:\n" . tidy($shows));
        }
    }
}

# Writes statements to a file; returns its name.
sub write_script
{
    my ($name, $text) = @_;
    my $file = "$PostgreSQL::Test::Utils::tmp_check/$name.sql";
    open(my $out, '>', $file) or die $!;
    print $out $text;
    close $out;
    return $file;
}

done_testing();
