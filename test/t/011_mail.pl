# Mails to a real SMTP server (aiosmtpd): STARTTLS, TLS, a login, both texts, several
# recipients, a report, and the faults of a mail server.
use strict;
use warnings;

use FraudDetect;
use IO::Socket::INET;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Receivers;
use Test::More;
use Time::HiRes qw(time);

my $dir = make_certificates(PostgreSQL::Test::Utils::tempdir());
my $starttls = start_mail($dir, 'starttls', '--user', 'fraud', '--password', 'secret-password-1');
# It comes back at the same port, which no connection of others may take meanwhile.
my $smtps = start_mail($dir, 'smtps', '--smtps', '--port', PostgreSQL::Test::Cluster::get_free_port());
my $node = new_server('main',
    conf => "fraud_detect.ca_file = '$dir/ca.crt'\nfraud_detect.notify_timeout = 4s\n"
      . "fraud_detect.notify_attempts = 3\nfraud_detect.max_retry_delay = 1s\nfraud_detect.alert_window = 0\nrestart_after_crash = on\n");
sub value { return $node->safe_psql('postgres', $_[0]) }
sub add
{
    my ($name, $to, $more, $server) = @_;
    $server //= $starttls;
    value("SELECT fraud.add_channel('$name', 'email', '$to', smtp_url => '$server->{url}', sender => 'fraud\@example.com'$more)");
}
my $login = ", smtp_user => 'fraud', smtp_password => 'secret-password-1'";

# Reads a mail with Python's own reader: headers, and the parts as text.
append_to_file("$dir/read.py", <<'PYTHON');
import email, email.policy, json, sys
mail = email.message_from_binary_file(open(sys.argv[1], "rb"), policy=email.policy.default)
parts = [p for p in mail.walk() if not p.is_multipart()]
print(json.dumps({"headers": {k.lower(): str(v) for k, v in mail.items()}, "count": len(mail.items()),
                  "container": [p.get_content_type() for p in mail.walk() if p.is_multipart()],
                  "types": [p.get_content_type() for p in parts], "names": [p.get_filename() for p in parts], "parts": [p.get_content() for p in parts]}))
PYTHON
sub read_mail
{
    my ($file) = @_;
    my ($out, $err) = ('', '');
    IPC::Run::run([ '/usr/bin/python3', "$dir/read.py", $file ], '>', \$out, '2>', \$err) or die $err;
    return JSON::PP::decode_json($out);
}
sub mail_to
{
    my ($to, $server) = @_;
    my $line = wait_for_line($server // $starttls, sub { $_[0]{taken} && $_[0]{to}[0] eq $to }, "$to gets a mail");
    return ($line, read_mail($line->{file}));
}

value("SELECT fraud.promote('payments', 1, review_at => 0, block_at => 1, reason => 'alert on all')");
my $number = 0;
sub raise_alert
{
    my (%fields) = @_;
    my $payment = payment(trans_num => '"m-' . ++$number . '"', current_time => 1700000000000 + $number, %fields);
    return value("SELECT status FROM fraud.ingest('$payment')");
}

# --------------------------------------------------------- an alert by mail
add('desk', 'ann@example.com, bob@example.com', $login);
raise_alert(merchant => '"Söhne & <b>Töchter</b>\nBcc: mallory@example.com"', amt => 1250.5);
my ($line, $mail) = mail_to('ann@example.com');
is($line->{tls} ? 1 : 0, 1, 'over TLS');
is($line->{user}, 'fraud', 'with a login');
is($line->{from}, 'fraud@example.com', 'from the sender');
is_deeply($mail->{types}, [ 'text/plain', 'text/html' ], 'as plain text and HTML');
ok((grep { $_ eq 'multipart/alternative' } @{ $mail->{container} }), 'of which a reader shows one');
my $headers = $mail->{headers};
like($headers->{subject}, qr/^Fraud alert: review: 1250\.50 at S.*hne & <b>T.*chter<\/b> Bcc: mallory\@example\.com, card/, 'the subject is one line, whatever the merchant is called');
is($headers->{bcc}, undef, 'no header is smuggled in');
is($headers->{to}, 'ann@example.com', 'To is the recipient');
like($headers->{date}, qr/^\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d \+0000$/, 'it has a date');
is($headers->{'message-id'}, '<' . value("SELECT idempotency_key FROM fraud.notifications WHERE recipient = 'ann\@example.com'") . '@example.com>', 'Message-ID is the idempotency key');
like($mail->{parts}[0], qr/Amount:\s+1250\.50/, 'the text tells of the alert');
like($mail->{parts}[0], qr/\x{f6}hne & <b>T/, 'as it is');
like($mail->{parts}[1], qr/\x{f6}hne &amp; &lt;b&gt;T/, 'the HTML escapes it');
unlike($mail->{parts}[0] . $mail->{parts}[1], qr/4000000000000002/, 'no card number in it');
mail_to('bob@example.com');
is(value("SELECT count(*) FROM fraud.notifications WHERE channel = 'desk' AND state = 'delivered'"), '2', 'each recipient is a delivery')
  or diag(value('SELECT * FROM fraud.notification_log'));
my ($before) = time;
raise_alert();
$line = wait_for_line($starttls, sub { $_[0]{at} > $before }, 'another alert is another mail');
cmp_ok($line->{at} - $before, '<', patient(1), 'within a second');
value("SELECT fraud.drop_channel('desk')");

# ----------------------------------------------------- a report, TLS from the start
add('reports', 'cleo@example.com', ", takes => '{report}'", $smtps);
my $page = '<!DOCTYPE html><html><body><p>' . ('a long line ' x 2000) . "\x{2026}</p></body></html>";
value("SELECT fraud._enqueue('report', '{\"day\": \"2026-03-02\"}', 'Fraud report of 2026-03-02 …', 'plain', '<!DOCTYPE html><html><body><p>' || repeat('a long line ', 2000) || '…</p></body></html>')");
($line, $mail) = mail_to('cleo@example.com', $smtps);
is($mail->{headers}{subject}, "Fraud report of 2026-03-02 \x{2026}", 'a report has its subject');
is($mail->{parts}[0] =~ s/\s+$//r, 'plain', 'its text');
is($mail->{parts}[1] =~ s/\s+$//r, $page, 'and its page, letter by letter');
is($mail->{parts}[2] =~ s/\s+$//r, $page, 'which is attached as well, for readers that show no SVG');
is($mail->{names}[2], 'report.html', 'as a file');
raise_alert();
is(value("SELECT count(*) FROM fraud.notifications WHERE channel = 'reports' AND kind = 'alert'"), '0', 'a channel for reports takes no alerts');
value("SELECT fraud.drop_channel('reports')");

# ----------------------------------------------------------------- a digest
add('digest', 'dora@example.com', ", digest_interval => '2 s'", $smtps);
# In one commit, so that the two seconds begin for all three at once.
my $three = join ',', map { payment(trans_num => '"m-' . ++$number . '"', current_time => 1700000000000 + $number, amt => 10 + $_) } 1 .. 3;
value("SELECT status FROM fraud.ingest('[$three]')");
($line, $mail) = mail_to('dora@example.com', $smtps);
is($mail->{headers}{subject}, '3 fraud alerts', 'a digest is one mail');
like($mail->{parts}[0], qr/11\.00.*12\.00.*13\.00/s, 'with each alert');
value("SELECT fraud.drop_channel('digest')");

# --------------------------------------------------------------------- faults
my $closed = PostgreSQL::Test::Cluster::get_free_port();
my $other = start_mail($dir, 'other', '--certificate', "$dir/other.crt", '--key', "$dir/other.key");
my $other_smtps = start_mail($dir, 'other_smtps', '--smtps', '--certificate', "$dir/other.crt", '--key', "$dir/other.key");
my $no_tls = start_mail($dir, 'no_tls', '--no-tls');
my $silent = IO::Socket::INET->new(Listen => 16, LocalAddr => '127.0.0.1') or die $!;
add('refused', 'eve@example.com', '', { url => "smtp://127.0.0.1:$closed" });
add('silent', 'eve@example.com', '', { url => 'smtp://127.0.0.1:' . $silent->sockport });
add('other_name', 'eve@example.com', '', $other);
add('other_smtps', 'eve@example.com', '', $other_smtps);
add('no_starttls', 'eve@example.com', '', $no_tls);
add('hang', 'hang@example.com', $login);
add('busy', 'busy@example.com', $login);
add('login', 'eve@example.com', ", smtp_user => 'fraud', smtp_password => 'secret-password-2'");
add('unknown', 'unknown@example.com, fred@example.com', $login);
add('plain', 'eve@example.com', ', starttls => false');
raise_alert();
my %faults = (
    refused => [ 3, 'failed', qr/^could not connect: / ],
    hang => [ 3, 'timeout', qr/^timed out: / ],
    silent => [ 3, 'timeout', qr/^timed out: / ],
    other_name => [ 3, 'failed', qr/^the server's certificate is not valid: / ],
    other_smtps => [ 3, 'failed', qr/^the server's certificate is not valid: / ],
    no_starttls => [ 3, 'failed', qr/^the server offers no TLS: / ],
    login => [ 3, 'failed', qr/^login denied: / ],
    plain => [ 1, 'failed', qr/530|MAIL failed/ ]);
for my $name (sort keys %faults)
{
    ok($node->poll_query_until('postgres', "SELECT count(*) = 1 FROM fraud.notifications WHERE channel = '$name' AND state = 'dead'"), "$name: given up");
    is(value("SELECT string_agg(outcome, ' ' ORDER BY attempt) FROM fraud.notification_attempts WHERE channel = '$name'"),
        join(' ', ($faults{$name}[1]) x $faults{$name}[0]), "$name: each attempt is on record");
    like(value("SELECT last_error FROM fraud.channel_status WHERE name = '$name'"), $faults{$name}[2], "$name: says what was wrong");
}
ok($node->poll_query_until('postgres', "SELECT state = 'delivered' AND attempts = 2 FROM fraud.notifications WHERE channel = 'busy'"), 'a server that is busy gets it again');
my @tries = lines_of($starttls, sub { $_[0]{to}[0] eq 'busy@example.com' });
is(scalar(keys %{ { map { $_->{message_id} => 1 } @tries } }), 1, 'with the same Message-ID');
is(value("SELECT state, attempts, last_status FROM fraud.notifications WHERE recipient = 'unknown\@example.com'"), 'dead|1|550', 'a mailbox that does not exist is final');
mail_to('fred@example.com');
is(scalar(map { lines_of($_, sub { $_[0]{to}[0] eq 'eve@example.com' }) } $starttls, $other, $other_smtps, $no_tls), 0,
    'nothing was sent without TLS or login, or to another server than was meant');
my $untrusted = new_server('untrusting', conf => "fraud_detect.notify_attempts = 1\n");
for my $server ($smtps, $starttls)
{
    $untrusted->safe_psql('postgres', "SELECT fraud.add_channel('x', 'email', 'eve\@example.com', smtp_url => '$server->{url}', sender => 'a\@b.c'); SELECT fraud.test_channel('x')");
    ok($untrusted->poll_query_until('postgres', "SELECT state = 'dead' AND last_error ~* 'certificate' FROM fraud.notifications WHERE channel = 'x' ORDER BY notification_id DESC LIMIT 1"), 'a certificate of no known authority is refused');
    $untrusted->safe_psql('postgres', "SELECT fraud.drop_channel('x')");
}
$untrusted->stop;

# A server that hangs delays no other mail.
is(value("SELECT count(*) FROM fraud.notification_attempts WHERE channel NOT IN ('hang', 'silent') AND duration > '3.5 s'"), '0', 'a server that hangs delays nobody else');

# A server that is killed in the middle of a mail, and comes back.
reload_with($node, 'fraud_detect.notify_attempts', '50');
add('hold', 'hold@example.com', '', $smtps);
raise_alert();
wait_for_line($smtps, sub { $_[0]{to}[0] eq 'hold@example.com' }, 'a mail is under way');
kill_receiver($smtps);
ok($node->poll_query_until('postgres', "SELECT count(*) > 0 FROM fraud.notification_attempts WHERE channel = 'hold' AND outcome = 'failed'"), 'a server that dies has taken nothing');
my $back = start_mail($dir, 'back', '--smtps', '--port', $smtps->{port});
mail_to('hold@example.com', $back);
is(scalar(keys %{ { map { $_->{message_id} => 1 } lines_of($smtps, sub { $_[0]{to}[0] eq 'hold@example.com' }), lines_of($back, sub { $_[0]{to}[0] eq 'hold@example.com' }) } }), 1, 'it gets the mail again, with the same Message-ID');

# The worker is killed in the middle of a mail: of this one, for the new server has held the mail
# before it, too. It has all the time that it needs to be caught in it.
reload_with($node, 'fraud_detect.notify_timeout', '100s');
my $pid = value("SELECT pid FROM pg_stat_activity WHERE backend_type = 'fraud_detect notify'");
my $earlier = value('SELECT max(notification_id) FROM fraud.notifications');
raise_alert();
ok($node->poll_query_until('postgres', "SELECT count(*) = 1 FROM fraud.notifications WHERE channel = 'hold' AND notification_id > $earlier"), 'another mail is to be sent');
my $key = value("SELECT idempotency_key FROM fraud.notifications WHERE channel = 'hold' AND notification_id > $earlier");
my $held = sub { lines_of($back, sub { $_[0]{message_id} =~ /\Q$key\E/ && !$_[0]{taken} }) };
ok(wait_for(sub { $held->() == 1 }, 'holds'), 'it is under way');
ok(crash($node, $pid), 'the server restarts');
ok($node->poll_query_until('postgres', "SELECT count(*) = 2 FROM fraud.notifications WHERE channel = 'hold' AND state = 'delivered'"),
    'a worker that was killed comes back, and the mail goes');
is(value("SELECT string_agg(outcome, ' ' ORDER BY attempt) FROM fraud.notification_attempts WHERE notification_id = (SELECT max(notification_id) FROM fraud.notifications WHERE channel = 'hold')"),
    'interrupted delivered', 'the attempt that it was at is on record as interrupted');
my ($first) = $held->();
is(scalar(lines_of($back, sub { $_[0]{taken} && $_[0]{message_id} eq $first->{message_id} })), 1, 'with the same Message-ID');

# DROP EXTENSION and a stop in the middle of a mail.
my $stops = new_server('stops', conf => "fraud_detect.ca_file = '$dir/ca.crt'\nfraud_detect.notify_timeout = 100s\n");
my $hang = "SELECT fraud.add_channel('x', 'email', 'hang\@example.com', smtp_url => '$back->{url}', sender => 'a\@b.c'); SELECT fraud.test_channel('x')";
my $hangs = sub { scalar(lines_of($back, sub { $_[0]{to}[0] eq 'hang@example.com' })) };
$stops->safe_psql('postgres', $hang);
ok(wait_for(sub { $hangs->() == 1 }, 'hangs'), 'a mail hangs');
cmp_ok(seconds_of(sub { $stops->safe_psql('postgres', 'DROP EXTENSION fraud_detect') }), '<', patient(2), 'DROP EXTENSION does not wait for a mail');
ok(wait_for(sub { $stops->safe_psql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'fraud_detect notify'") eq '0' }, 'no worker', patient(5)), 'which leaves no worker');
$stops->safe_psql('postgres', "CREATE EXTENSION fraud_detect; $hang");
ok(wait_for(sub { $hangs->() == 2 }, 'hangs'), 'a mail hangs');
cmp_ok(seconds_of(sub { $stops->stop('fast') }), '<', patient(4), 'nor does a fast stop');
unlike(slurp_file($stops->logfile), qr/terminated by signal/, 'and no process crashed');

my $log = slurp_file($node->logfile);
unlike($log, qr/secret-password|4000000000000002/, 'no secret and no card number in the log');
is(value("SELECT count(*) FROM (SELECT n::text AS line FROM fraud.notification_log n UNION ALL SELECT s::text FROM fraud.channel_status s) l WHERE line ~ 'secret-'"), '0', 'nor in what an operator reads');

done_testing();
