# Where the workers may go to: judged by the address that is connected to, whatever a URL, a
# redirect, a name server or the environment says.
use strict;
use warnings;

use FraudDetect;
use IO::Socket::INET;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Receivers;
use Socket qw(getaddrinfo getnameinfo NI_NUMERICHOST);
use Test::More;

my $dir = make_certificates(PostgreSQL::Test::Utils::tempdir());
my $api = start_api();
my $other = start_api();
my ($port) = $api->{url} =~ /:(\d+)$/;
my ($other_port) = $other->{url} =~ /:(\d+)$/;
my $tls = start_tls($dir, $port);
my ($tls_port) = $tls->{good} =~ /:(\d+)$/;
my $mail = start_mail($dir, 'mail', '--no-tls');
my $node;
sub value { return $node->safe_psql('postgres', $_[0]) }

# As a dump brings them, past the checks of fraud.add_source.
sub insert_source
{
    my ($name, $url, $headers) = @_;
    $headers //= '{}';
    value("INSERT INTO fraud.sources (name, url, format, poll_interval, headers) VALUES ('$name', '$url', 'auto', '200 ms', '$headers'); SELECT fraud.resume_source('$name')");
}

sub error_is
{
    my ($name, $pattern, $what) = @_;
    $node->poll_query_until('postgres', "SELECT last_error IS NOT NULL FROM fraud.source_status WHERE name = '$name'");
    like(value("SELECT last_error FROM fraud.source_status WHERE name = '$name'"), $pattern, $what);
    is(value("SELECT stored + duplicates FROM fraud.source_status WHERE name = '$name'"), '0', 'and nothing came');
}

sub works
{
    my ($name, $what) = @_;
    ok($node->poll_query_until('postgres', "SELECT stored + duplicates > 0 FROM fraud.source_status WHERE name = '$name'"), $what)
      or diag(value("SELECT last_error FROM fraud.source_status WHERE name = '$name'"));
}

# How many requests a stand-in has had of a path.
sub requests
{
    my ($server, $path) = @_;
    my ($out) = run_command([ 'python3', '-c', 'import sys, urllib.request; print(urllib.request.build_opener(urllib.request.ProxyHandler({})).open(sys.argv[1]).read().decode())', "$server->{url}/requests" ]);
    return decode_json($out)->{$path} // 0;
}

# ------------------------------------------------------------ as it is by default
my $proxy = IO::Socket::INET->new(Listen => 16, LocalAddr => '127.0.0.1', Blocking => 0) or die $!;
{
    # What the environment of the postmaster says is for others.
    my $url = 'http://127.0.0.1:' . $proxy->sockport;
    local @ENV{qw(http_proxy https_proxy HTTPS_PROXY all_proxy ALL_PROXY)} = ($url) x 5;
    local $ENV{SSLKEYLOGFILE} = "$dir/tls-keys";
    $node = new_server('default', hosts => undef, conf => "fraud_detect.max_retry_delay = 1s\nfraud_detect.notify_attempts = 1\nfraud_detect.ca_file = '$dir/ca.crt'\n");
}
my (undef, undef, $error) = $node->psql('postgres', "SELECT fraud.add_source('loop', '$api->{url}/one')");
like($error, qr/leads to "127.0.0.1", port $port, which may not be contacted.*DETAIL:  It is a loopback address.*HINT:  fraud_detect\.allowed_hosts/s, 'loopback is refused, with the setting');
insert_source('literal', "$api->{url}/one");
error_is('literal', qr/^fraud_detect\.allowed_hosts refuses "127\.0\.0\.1", port $port: it is a loopback address$/, 'the worker refuses an address');
insert_source('odd', "http://0x7f.1:$port/one");
error_is('odd', qr/^fraud_detect\.allowed_hosts refuses .*loopback address$/, 'in whatever spelling');
insert_source('name', "http://localhost:$port/one");
error_is('name', qr/^fraud_detect\.allowed_hosts refuses "localhost", port $port: it is a loopback address$/, 'and a name');
insert_source('metadata', 'http://169.254.169.254/latest/meta-data/');
error_is('metadata', qr/^fraud_detect\.allowed_hosts refuses "169\.254\.169\.254", port 80: it is a cloud's metadata service$/, 'the metadata service is refused');
insert_source('file', 'file:///etc/passwd');
error_is('file', qr/^the URL cannot be used: It must begin with http:\/\/ or https:\/\//, 'another protocol is refused');
insert_source('clear', 'http://192.0.2.1/x', '{"Authorization": "Bearer secret-1"}');
error_is('clear', qr/^credentials are not sent over http:\/\/$/, 'credentials are not sent in clear');
insert_source('user', 'http://u:secret-1@192.0.2.1/x');
error_is('user', qr/^the URL cannot be used: It must hold no user or password/, 'nor those of a URL');
# A name that leads to loopback, and does not say so.
SKIP:
{
    my ($alias) = grep {
        my ($fault, @found) = getaddrinfo($_, '');
        !$fault && @found && !grep { (getnameinfo($_->{addr}, NI_NUMERICHOST))[1] !~ /^(127\.|::1$)/ } @found;
    } qw(ip6-localhost ip6-loopback localhost.localdomain localhost4), do { chomp(my $name = `hostname`); $name };
    skip 'no other name of loopback here', 2 unless $alias;
    insert_source('alias', "http://$alias:$port/one");
    error_is('alias', qr/^fraud_detect\.allowed_hosts refuses .*, port $port, to which "\Q$alias\E" leads: it is a loopback address$/, "so is where $alias leads");
}
value("INSERT INTO fraud.channels (name, kind, target, takes, min_decision, repeats, revisions, headers, starttls, smtp_url, sender)"
      . " VALUES ('hook', 'webhook', '$api->{url}/hook', '{alert}', 'review', false, false, '{}', true, NULL, NULL), ('mail', 'email', 'a\@example.com', '{alert}', 'review', false, false, '{}', false, '$mail->{url}', 'b\@example.com')");
value("SELECT fraud.resume_channel(name), fraud.test_channel(name) FROM fraud.channels");
for my $name (qw(hook mail))
{
    ok($node->poll_query_until('postgres', "SELECT state = 'dead' FROM fraud.notifications WHERE channel = '$name'"), "$name: not sent");
    like(value("SELECT last_error FROM fraud.channel_status WHERE name = '$name'"), qr/^fraud_detect\.allowed_hosts refuses "127\.0\.0\.1", port \d+: it is a loopback address$/, "$name: says why");
}
is(requests($api, '/one') + requests($api, '/hook'), 0, 'nobody was contacted');
my @mails = lines_of($mail, sub { 1 });
is(scalar(@mails), 0, 'by mail neither');

# -------------------------------------------------------------- a reload changes it
sub set_hosts
{
    my ($hosts) = @_;
    value("ALTER SYSTEM SET fraud_detect.allowed_hosts = '$hosts'");
    $node->reload;
}
set_hosts("*, 127.0.0.1:$port, 127.0.0.1:$tls_port");
works('literal', 'workers follow a reload');
works('odd', 'an address is the same however it is spelt');
works('name', 'a name of loopback is what it leads to');
insert_source('tls', "$tls->{good}/one");
works('tls', 'over TLS too');
insert_source('other_port', "$other->{url}/one");
error_is('other_port', qr/^fraud_detect\.allowed_hosts refuses "127\.0\.0\.1", port $other_port: it is a loopback address$/, 'but not another port');
ok(!$proxy->accept, 'the proxies of the environment are not asked');
ok(!-e "$dir/tls-keys", 'and no keys of TLS are written where it says');

# Connections that were kept are under the new policy too.
my $polls = value("SELECT polls FROM fraud.source_status WHERE name = 'tls'");
ok($node->poll_query_until('postgres', "SELECT polls > $polls + 2 FROM fraud.source_status WHERE name = 'tls'"), 'polls go on');
set_hosts('*');
ok($node->poll_query_until('postgres', "SELECT count(*) = 3 FROM fraud.source_status WHERE name IN ('literal', 'odd', 'tls') AND last_error ~ 'allowed_hosts refuses'"), 'a reload takes it back, for connections that were kept too');
# The address that is connected to counts, not that one of the name's would do.
set_hosts('*, [::1]');
value("SELECT fraud.drop_source(name) FROM fraud.sources");
value("SELECT fraud.add_source('named', 'http://localhost:$port/one', poll_interval => '200 ms')");
error_is('named', qr/^fraud_detect\.allowed_hosts refuses 127\.0\.0\.1, port $port, to which "localhost" leads: it is a loopback address$/, 'the address that is connected to counts');
(my $mail_by_name = $mail->{url}) =~ s/127\.0\.0\.1/localhost/;
value("SELECT fraud.drop_channel(name) FROM fraud.channels; SELECT fraud.add_channel('named', 'email', 'a\@example.com', smtp_url => '$mail_by_name', sender => 'b\@example.com', starttls => false); SELECT fraud.test_channel('named')");
ok($node->poll_query_until('postgres', "SELECT state = 'dead' FROM fraud.notifications WHERE channel = 'named'"), 'for mails too');
like(value("SELECT last_error FROM fraud.channel_status WHERE name = 'named'"), qr/^fraud_detect\.allowed_hosts refuses 127\.0\.0\.1, port \d+, to which "localhost" leads: it is a loopback address$/, 'which says so');

# ------------------------------------------------------------------ redirects
set_hosts('*, 127.0.0.1, localhost');
value("SELECT fraud.drop_source('named')");
my %redirects = (
    other_port => [ "$other->{url}/current-transactions", qr/; a redirect is followed only to the same host and port, not to http, "127\.0\.0\.1", port $other_port$/ ],
    other_name => [ "http://localhost:$port/current-transactions", qr/; a redirect is followed only to the same host and port, not to http, "localhost", port $port$/ ],
    metadata => [ 'http://169.254.169.254/latest/meta-data/', qr/; a redirect is followed only to the same host/ ],
    to_file => [ 'file:///etc/passwd', qr/; where it leads is not followed: It must begin with http/ ],
    to_user => [ "http://u:p\@127.0.0.1:$port/current-transactions", qr/; where it leads is not followed: It must hold no user/ ],
    to_user_there => [ "//u:p\@127.0.0.1:$port/current-transactions", qr/; where it leads is not followed: It must hold no user/ ]);
for my $name (sort keys %redirects)
{
    (my $to = $redirects{$name}[0]) =~ s/([^A-Za-z0-9])/sprintf '%%%02X', ord $1/ge;
    value("SELECT fraud.add_source('$name', '$api->{url}/redirect-out?to=$to', poll_interval => '200 ms')");
    error_is($name, qr/^HTTP status 302, expected 200$redirects{$name}[1]/, "a redirect to $redirects{$name}[0] is not followed");
}
value("SELECT fraud.add_source('down', '$tls->{good}/redirect-out?to=http%3A%2F%2F127.0.0.1%3A$tls_port%2Fcurrent-transactions', poll_interval => '200 ms')");
error_is('down', qr/; a redirect is followed only to the same host and port, not to http,/, 'nor one from https to http');
is(requests($other, '/current-transactions'), 0, 'nobody else was asked');
value("SELECT fraud.add_source('relative', '$api->{url}/redirect-out?to=%2Fone', poll_interval => '200 ms')");
works('relative', 'one to another path is');
value("SELECT fraud.add_source('absolute', '$api->{url}/redirect-out?to=http%3A%2F%2F127.0.0.1%3A$port%2Fone', poll_interval => '200 ms')");
works('absolute', 'and one to the same host in full');
is(value("SELECT count(*) FROM fraud.ingest_errors"), '0', 'no answer of anybody is shown');

# --------------------------------------------------------------------- a proxy
# The stand-in answers for any host when it is asked as a proxy.
value("SELECT fraud.drop_source(name) FROM fraud.sources");
value("ALTER SYSTEM SET fraud_detect.http_proxy = '$other->{url}'");
value("ALTER SYSTEM SET fraud_detect.no_proxy = 'direct.invalid'");
set_hosts("*, !secret.invalid, 127.0.0.1:$port");
value("SELECT fraud.add_source('through', 'http://payments.invalid/one', poll_interval => '200 ms')");
works('through', 'a proxy that the setting names is used, though it is on loopback, and looks names up');
insert_source('excluded', 'http://secret.invalid/one');
error_is('excluded', qr/^fraud_detect\.allowed_hosts refuses "secret\.invalid", port 80: it is excluded$/, 'the target is judged by name');
insert_source('by_address', 'http://169.254.169.254/one');
error_is('by_address', qr/^fraud_detect\.allowed_hosts refuses "169\.254\.169\.254"/, 'or by address');
value("SELECT fraud.add_source('direct', 'http://direct.invalid/one', poll_interval => '200 ms')");
error_is('direct', qr/^could not resolve the host's name: /, 'what no_proxy names goes past it');
my $asked = requests($other, '/one');
value("SELECT fraud.pause_source('through'); SELECT fraud.add_source('self', '$api->{url}/one', poll_interval => '200 ms')");
works('self', 'the machine itself is not asked through it');

value("ALTER SYSTEM SET fraud_detect.http_proxy = 'http://u:word\@[half'; SELECT fraud.drop_source('direct')");
$node->reload;
value("SELECT fraud.add_source('bad_proxy', 'http://payments.invalid/one', poll_interval => '200 ms')");
error_is('bad_proxy', qr/^fraud_detect\.http_proxy cannot be read as a URL$/, 'a proxy that is none is named by its setting alone');

# ------------------------------------------------------------------ mail by name
value("ALTER SYSTEM RESET fraud_detect.http_proxy");
set_hosts('localhost');
value("SELECT fraud.drop_channel(name) FROM fraud.channels; SELECT fraud.add_channel('relay', 'email', 'relayed\@example.com', smtp_url => '$mail_by_name', sender => 'b\@example.com', starttls => false)");
value("SELECT fraud.test_channel('relay')");
wait_for_line($mail, sub { $_[0]{to}[0] eq 'relayed@example.com' }, 'a relay on loopback is reached when it is allowed');

unlike(slurp_file($node->logfile), qr/secret-1/, 'no credential in the log');
done_testing();
