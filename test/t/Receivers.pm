# What receives messages in the TAP tests: a webhook receiver behind nginx's TLS,
# and a mail server, with certificates of an authority made for the test.
package Receivers;

use strict;
use warnings;

use Exporter 'import';
use File::Temp ();
use FraudDetect;
use IPC::Run qw(start finish);
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

our @EXPORT = qw(make_certificates start_receiver kill_receiver start_tls start_mail lines_of wait_for_line);

my @running;

sub run_quietly
{
    my (@command) = @_;
    my ($out, $err) = ('', '');
    IPC::Run::run(\@command, '<', \undef, '>', \$out, '2>', \$err) or die "@command: $err";
}

# Makes an authority and certificates for 127.0.0.1 (good) and for another name.
sub make_certificates
{
    my ($dir) = @_;
    run_quietly('openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '30', '-subj', '/CN=Test authority',
        '-keyout', "$dir/ca.key", '-out', "$dir/ca.crt");
    for my $pair ([ good => 'IP:127.0.0.1,DNS:localhost' ], [ other => 'DNS:other.example' ])
    {
        my ($name, $names) = @$pair;
        run_quietly('openssl', 'req', '-newkey', 'rsa:2048', '-nodes', '-subj', "/CN=$name", '-keyout', "$dir/$name.key", '-out', "$dir/$name.csr");
        PostgreSQL::Test::Utils::append_to_file("$dir/$name.ext", "subjectAltName=$names\n");
        run_quietly('openssl', 'x509', '-req', '-in', "$dir/$name.csr", '-CA', "$dir/ca.crt", '-CAkey', "$dir/ca.key", '-CAcreateserial',
            '-days', '30', '-extfile', "$dir/$name.ext", '-out', "$dir/$name.crt");
    }
    return $dir;
}

sub launch
{
    my (%what) = @_;
    my ($out, $err) = ('', '');
    my $server = { %what, harness => start($what{command}, '<', \undef, '>', \$out, '2>', \$err) };
    push @running, $server;
    wait_for($what{ready}, "$what{name} listens") or die "no $what{name}: $err";
    return $server;
}

sub port_in
{
    my ($file) = @_;
    chomp(my $port = slurp_file($file));
    return $port;
}

# Starts the webhook receiver; {url} is its plain address, {log} what it got.
sub start_receiver
{
    my ($dir, $port) = @_;
    unlink "$dir/port";
    my $server = launch(
        name => 'webhook receiver',
        command => [ 'python3', "$ENV{FRAUD_TREE}/test/receivers/webhook_receiver.py", '--port-file', "$dir/port",
            '--log', "$dir/requests", '--port', $port // 0 ],
        ready => sub { -s "$dir/port" });
    $server->{port} = port_in("$dir/port");
    $server->{url} = "http://127.0.0.1:$server->{port}";
    $server->{log} = "$dir/requests";
    return $server;
}

sub kill_receiver
{
    my ($server) = @_;
    return unless $server->{harness};
    # nginx ends its workers itself; the others are to die as in a crash.
    $server->{harness}->signal($server->{name} eq 'nginx' ? 'TERM' : 'KILL');
    finish($server->{harness});
    $server->{harness} = undef;
}

# Starts nginx with TLS in front of a port, once with the good certificate and once
# with that of another name; returns both addresses.
sub start_tls
{
    my ($dir, $port) = @_;
    my ($good, $other) = map { PostgreSQL::Test::Cluster::get_free_port() } 1 .. 2;
    my $servers = join '', map {
        "server { listen 127.0.0.1:$_->[0] ssl; ssl_certificate $dir/$_->[1].crt; ssl_certificate_key $dir/$_->[1].key;"
          . " location / { proxy_pass http://127.0.0.1:$port; proxy_read_timeout 1h; proxy_redirect off; } }\n"
    } ([ $good, 'good' ], [ $other, 'other' ]);
    my $paths = join ' ', map { "${_}_temp_path $dir/$_;" } qw(client_body proxy fastcgi uwsgi scgi);
    append_to_file("$dir/nginx.conf",
        "daemon off; worker_processes 1; pid $dir/nginx.pid; error_log $dir/nginx.log;\n"
          . "events { worker_connections 256; }\nhttp { access_log off; $paths\n$servers}\n");
    my $server = launch(
        name => 'nginx',
        command => [ '/usr/sbin/nginx', '-e', "$dir/nginx.log", '-p', $dir, '-c', "$dir/nginx.conf" ],
        ready => sub { -s "$dir/nginx.pid" });
    $server->{good} = "https://127.0.0.1:$good";
    $server->{other} = "https://127.0.0.1:$other";
    return $server;
}

# Starts the mail server; {url} is its address, {log} what it got.
sub start_mail
{
    my ($dir, $name, @options) = @_;
    my $mails = "$dir/mails-$name";
    mkdir $mails;
    unlink "$mails/port";
    my $server = launch(
        name => 'mail server',
        command => [ '/usr/bin/python3', "$ENV{FRAUD_TREE}/test/receivers/smtp_receiver.py", '--port-file', "$mails/port", '--mails', $mails,
            '--certificate', "$dir/good.crt", '--key', "$dir/good.key", @options ],
        ready => sub { -s "$mails/port" });
    $server->{port} = port_in("$mails/port");
    my $scheme = (grep { $_ eq '--smtps' } @options) ? 'smtps' : 'smtp';
    $server->{url} = "$scheme://127.0.0.1:$server->{port}";
    $server->{log} = "$mails/log";
    return $server;
}

# Returns what a receiver got.
sub lines_of
{
    my ($server, $wanted) = @_;
    return () unless -e $server->{log};
    # A line that is being written has no end yet.
    my @lines = map { decode_json($_) } grep { /\}$/ } split /\n/, slurp_file($server->{log});
    return grep { $wanted->($_) } @lines;
}

# Waits for something that a receiver gets, and returns it.
sub wait_for_line
{
    my ($server, $wanted, $what) = @_;
    my @found;
    ok(wait_for(sub { @found = lines_of($server, $wanted); @found > 0 }, $what), $what);
    return $found[0] // {};
}

END
{
    my $status = $?;
    for my $server (@running) { kill_receiver($server) }
    $? = $status;
}

1;
