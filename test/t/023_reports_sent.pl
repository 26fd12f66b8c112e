# Seven days through the live path: seven closed reports, mailed through a real SMTP
# server and opened as a page, posted with a signature that another language verifies; a
# late chargeback changes the model's figures of its day and makes a revision.
use strict;
use warnings;

use Digest::SHA qw(hmac_sha256);
use File::Spec;
use FraudDetect;
use IPC::Run qw(run timeout);
use JSON::PP;
use MIME::Base64;
use PostgreSQL::Test::Utils;
use Receivers;
use Test::More;

my $dir = make_certificates(PostgreSQL::Test::Utils::tempdir());
my $receiver = start_receiver($dir);
my $mail = start_mail($dir, 'reports');
my $zone = noon_zone();
my $node = new_server('main',
    conf => "timezone = '$zone'\nfraud_detect.report_timezone = '$zone'\nfraud_detect.ca_file = '$dir/ca.crt'\nfraud_detect.report_hour = 0\nfraud_detect.label_maturity = 0\n");
sub value { return $node->safe_psql('postgres', $_[0]) }

# Each report of a day is made and sent, so none is of a day of which there can be nothing.
my @back = split /\n/, value(q{BEGIN; SELECT current_date - min(day) FROM fraud.close_due_days(since => '1970-01-01');
    SELECT greatest(400, current_date - m::date) FROM nullif(fraud._first_month(), 'infinity') m; ROLLBACK});
cmp_ok($back[0], '<=', $back[1] + 1, 'days of which there can be nothing are not closed for being asked for');

my $secret = 'whsec_' . encode_base64('a key of twenty-five byte', '');
value("SELECT fraud.add_channel('desk', 'email', 'desk\@example.com', takes => '{report}', smtp_url => '$mail->{url}', sender => 'fraud\@example.com')");
value("SELECT fraud.add_channel('hook', 'webhook', '$receiver->{url}/ok', takes => '{report}', secret => '$secret')");

value("SELECT fraud.promote('payments', 1, review_at => 0, block_at => 1)");
my $midnight = value('SELECT extract(epoch FROM current_date::timestamptz)::bigint');
for my $day (1 .. 7)
{
    my $payment = payment(trans_num => qq("day-$day"), current_time => ($midnight - $day * 86400 + 40000) * 1000, amt => 10 * $day);
    value("SELECT * FROM fraud.ingest('$payment')");
}
is(value('SELECT count(*) FROM fraud.close_due_days(since => current_date - 7) WHERE revision = 1'), '7', 'seven days are closed');
is(value('SELECT count(*) FROM fraud.close_due_days()'), '0', 'once');

# One mail a day; the day's page is in it, and opens in a browser.
my $yesterday = value('SELECT current_date - 1');
ok(wait_for(sub { lines_of($mail, sub { $_[0]{taken} }) == 7 }, 'seven mails'), 'seven mails are taken');
my $script = "$dir/page.py";
append_to_file($script, <<'PY');
import email, email.policy, sys
for path in sys.argv[3:]:
    with open(path, 'rb') as file:
        mail = email.message_from_binary_file(file, policy=email.policy.default)
    if sys.argv[1] in mail['Subject']:
        sys.stdout.buffer.write(mail.get_body(('html',)).get_content().encode())
        assert sys.argv[2] in mail.get_body(('plain',)).get_content()
PY
my ($html, $err) = ('', '');
run([ 'python3', $script, $yesterday, 'payments 1, volume 10.00', map { $_->{file} } lines_of($mail, sub { $_[0]{taken} }) ], '<', \undef, '>', \$html, '2>', \$err);
is($err, '', 'the mail has text and a page');
append_to_file("$dir/report.html", $html);
my ($browser) = grep { -x $_ } map { "$_/chromium" } File::Spec->path;
SKIP:
{
    skip 'Chromium is not installed', 1 unless $browser;
    local $ENV{HOME} = $dir;
    my $dom = '';
    run([ $browser, qw(--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking
          --disable-component-update --disable-sync --disable-dev-shm-usage), "--user-data-dir=$dir/profile", '--dump-dom', "file://$dir/report.html" ],
        '<', \undef, '>', \$dom, '2>', \$err, timeout(120));
    is(scalar(() = $dom =~ /<figure>/g), 6, 'which opens with all its charts');
}

# The webhook has the figures, and a signature.
my $request = wait_for_line($receiver, sub { $_[0]{body} =~ /"\Q$yesterday\E"/ }, 'the webhook has the day');
my $body = decode_json($request->{body});
is("$body->{kind} $body->{data}{payments} $body->{data}{revision}", 'report 1 1', 'with its figures');
my $headers = $request->{headers};
is($headers->{'webhook-signature'},
    'v1,' . encode_base64(hmac_sha256("$headers->{'webhook-id'}.$headers->{'webhook-timestamp'}.$request->{body}", decode_base64(substr($secret, 6))), ''),
    'the signature is right');

# A chargeback of the fourth day.
my $figures = 'SELECT current_date - day, precision, recall FROM fraud.model_performance ORDER BY day';
my @before = split /\n/, value($figures);
value("SELECT fraud.label('day-4', true, 'chargeback')");
my @after = split /\n/, value($figures);
is(join(' ', grep { $before[$_] ne $after[$_] } 0 .. 6), '3', 'the figures of its own day change, and no others');
is($after[3], '4|1|1', 'to what they are now');
value('SELECT fraud.close_day(current_date - 4)');
is(value('SELECT current_date - day, revision, labelled_fraud FROM fraud.daily_reports WHERE revision > 1'), '4|2|1', 'which makes a revision');
is(value("SELECT count(*) FROM fraud.outbox WHERE kind = 'report'"), '7', 'that is not sent again');

# A channel that wants revisions gets the next one, the others do not; and the next day's
# report tells of it. (The clock cannot be moved, so the day that is missing is yesterday.)
value("SELECT fraud.add_channel('archive', 'webhook', '$receiver->{url}/ok-archive', takes => '{report}', revisions => true)");
value("SELECT fraud.label('day-5', true, 'chargeback')");
value('DELETE FROM fraud.daily_reports WHERE day = current_date - 1');
is(value('SELECT current_date - day, revision FROM fraud.close_due_days() ORDER BY 1'), "1|1\n5|2", 'with a new day, what was learned of those before it is written down');
my $revised = wait_for_line($receiver, sub { $_[0]{path} eq '/ok-archive' && $_[0]{body} =~ /revision 2/ }, 'a channel that takes revisions gets it');
is(decode_json($revised->{body})->{data}{labelled_fraud}, 1, 'with the new figures');
wait_for_line($receiver, sub { $_[0]{path} eq '/ok-archive' && $_[0]{body} =~ /"\Q$yesterday\E"/ }, 'and the new day');
ok(wait_for(sub { lines_of($mail, sub { $_[0]{taken} }) == 8 }, 'eight mails'), 'the other channel gets the new day');
is(value("SELECT count(*) FROM fraud.notifications WHERE channel = 'desk'"), '8', 'and nothing else');
my ($last) = (lines_of($mail, sub { $_[0]{taken} }))[-1];
run([ 'python3', $script, $yesterday, 'revision 2: payments 1, before 1; known fraud 1, before 0; its volume 50.00, before 0', $last->{file} ], '<', \undef, '>', \$html, '2>', \$err);
is($err, '', 'which tells of the correction');
like(value('SELECT fraud.report_html(current_date - 1)'), qr/<h2>Corrections of earlier days<\/h2>.*<tr><td>\d{4}-\d\d-\d\d<\/td><td class="n">2<\/td>/, 'so does the page');
unlike(value('SELECT fraud.report_html(current_date - 2)'), qr/Corrections of earlier days/, 'but not that of another day');

done_testing();
