# The report as people see it: in a browser, in light and dark, and on paper.
use strict;
use warnings;

use File::Spec;
use FraudDetect;
use IPC::Run qw(run timeout);
use PostgreSQL::Test::Utils;
use Test::More;

my ($browser) = grep { -x $_ } map { "$_/chromium" } File::Spec->path;
plan skip_all => 'Chromium is not installed' unless $browser;

my $node = new_server('main', preload => 0);
sub value { return $node->safe_psql('postgres', $_[0]) }

# A day with payments of every hour, alerts and a merchant that is a script.
value("SELECT fraud.simulate(200, 60, 9, starts_at => '2024-03-01 00:00:00+00')");
value("SELECT fraud.promote('payments', 1, review_at => 0, block_at => 1)");
my $payment = payment(merchant => '"<script>alert(1)</script>"', amt => 950, current_time => 1709900000000, state => '"NC"');
value("SELECT * FROM fraud.ingest('$payment')");

my $directory = PostgreSQL::Test::Utils::tempdir();
our $page = "$directory/report.html";
open(my $out, '>', $page) or die $!;
print $out value("SELECT fraud.report_html('2024-03-08')");
close $out;

# Returns what the browser prints, and what it complains of.
sub browse
{
    my (@options) = @_;
    local $ENV{HOME} = $directory;
    my ($stdout, $stderr) = ('', '');
    my $profile = PostgreSQL::Test::Utils::tempdir();
    run(
        [
            $browser, qw(--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking
              --disable-component-update --disable-sync --disable-dev-shm-usage --enable-logging=stderr),
            "--window-size=1120,2400",
            "--user-data-dir=$profile", @options, "file://$page"
        ],
        '<', \undef, '>', \$stdout, '2>', \$stderr, timeout(120));
    # What newer browsers say of pages of their own.
    $stderr =~ s/^.*CONSOLE.*, source: chrome:.*$//mg;
    return ($stdout, $stderr);
}

my ($dom, $complaints) = browse('--dump-dom');
unlike($complaints, qr/CONSOLE/, 'the browser has nothing to say of it');
is(scalar(() = $dom =~ /<figure>/g), 6, 'all charts are there');
is(scalar(() = $dom =~ /<h2>/g), 5, 'all sections are there');
is(scalar(() = $dom =~ /<rect class="s1"[^>]* height="(?!0)/g) > 40, 1, 'the charts have data');
unlike($dom, qr/<script/, 'a merchant is not a script');
like($dom, qr/&lt;script&gt;alert/, 'but shown as it is');
unlike($dom, qr/(?:NaN|undefined|\bnull\b|="-)/, 'no figure is missing, no length is negative');

# Returns a picture of the page.
sub picture
{
    my ($name, @options) = @_;
    browse("--screenshot=$directory/$name.png", @options);
    return -s "$directory/$name.png" ? slurp_file("$directory/$name.png") : '';
}
my $light = picture('light');
my $dark = picture('dark', '--blink-settings=preferredColorScheme=0');
like($light, qr/^.PNG/, 'a picture in light');
like($dark, qr/^.PNG/, 'a picture in dark');
cmp_ok(length $light, '>', 50_000, 'with something on it');
isnt($light, $dark, 'which are not the same');
browse("--print-to-pdf=$directory/report.pdf");
like(slurp_file("$directory/report.pdf"), qr/^%PDF/, 'it prints');
like(slurp_file("$directory/report.pdf"), qr{/MediaBox \[0 0 59[45]\S* 84[12]}, 'on A4');

# On a phone: how wide a page is in a frame of 390 px, and what stands out of it.
sub on_a_phone
{
    my ($html) = @_;
    (my $escaped = $html) =~ s/&/&amp;/g;
    $escaped =~ s/"/&quot;/g;
    open(my $frame, '>', "$directory/frame.html") or die $!;
    print $frame qq{<!DOCTYPE html><body><iframe id=f width=390 height=3000 style="border:0" srcdoc="$escaped"></iframe><script>onload=()=>{
        const d=document.getElementById("f").contentDocument;
        const out=[...d.querySelectorAll("body *")].filter(e=>e.getBoundingClientRect().right>390.5&&!e.closest(".scroll")&&!e.closest("svg")).map(e=>e.tagName);
        document.body.setAttribute("data-w",d.documentElement.scrollWidth+" "+out.join(" "))}</script>};
    close $frame;
    local $page = "$directory/frame.html";
    my ($seen) = browse('--dump-dom');
    return $seen =~ /data-w="(\d+) ([^"]*)"/ ? ($1, $2) : (0, 'nothing seen');
}
my ($width, $out_of_it) = on_a_phone(slurp_file($page));
ok($width > 300 && $width <= 390, "the report fits a phone: $width px");
is($out_of_it, '', 'and nothing stands out of it');

# A case: the same style, the same care.
my $case = value("SELECT case_id FROM fraud.alerts ORDER BY score * payment_amount DESC LIMIT 1");
value("SELECT fraud.note_case($case, '</td><script>alert(2)</script>')");
my $case_page = value("SELECT fraud.case_page($case)");
($width, $out_of_it) = on_a_phone($case_page);
ok($width > 300 && $width <= 390, "a case's page does, too: $width px");
is($out_of_it, '', 'and nothing stands out of it');
$page = "$directory/case.html";
open($out, '>', $page) or die $!;
print $out $case_page;
close $out;
($dom, $complaints) = browse('--dump-dom');
unlike($complaints, qr/CONSOLE/, 'the browser has nothing to say of it');
unlike($dom, qr/<script/, 'a note is not a script');
like($dom, qr/&lt;\/td&gt;&lt;script&gt;alert\(2\)/, 'but shown as it is');
is(scalar(() = $dom =~ /<h2>/g), 6, 'all sections are there');
cmp_ok(scalar(() = $dom =~ /<rect class="s[12]"/g), '>', 8, 'the waterfall has steps');
unlike($dom, qr/(?:NaN|undefined|\bnull\b|\b(?:x|y|x1|x2|cx|cy|r|width|height)="-)/, 'no figure is missing, no length is negative');
isnt(picture('case-light'), picture('case-dark', '--blink-settings=preferredColorScheme=0'), 'light and dark are not the same');

done_testing();
