# The workers' network client by itself, built with sanitizers: transfers and mails of
# every fate at once, given up, and cut off by its end.
use strict;
use warnings;

use FraudDetect;
use IO::Socket::INET;
use IPC::Run qw(run timeout);
use PostgreSQL::Test::Utils;
use Receivers;
use Test::More;

my @programs = grep { -x $_ } map { "$ENV{FRAUD_TREE}/build/network_client_$_" } qw(asan tsan);
plan skip_all => 'it is not built' unless @programs;

my $dir = make_certificates(PostgreSQL::Test::Utils::tempdir());
my $receiver = start_receiver($dir);
my $tls = start_tls($dir, $receiver->{port});
my $mail = start_mail($dir, 'mail');
my $silent = IO::Socket::INET->new(Listen => 64, LocalAddr => '127.0.0.1') or die $!;

# One that is given up is told of no more; of the last round's, those that hang are left.
my $rounds = 3;
my %expected = (
    'ok 200' => 4 * $rounds,
    'error 500' => $rounds,
    'redirect 302' => $rounds,
    'half failed' => $rounds,
    'closed failed' => $rounds,
    'forbidden not allowed' => $rounds,
    'mail forbidden not allowed' => $rounds,
    'mail ok 250' => 4 * $rounds,
    'mail unknown refused' => $rounds,
    'mail closed failed' => $rounds,
    'hang timeout' => $rounds - 1,
    'silent timeout' => $rounds - 1,
    'mail hang timeout' => $rounds - 1,
    'mail silent timeout' => $rounds - 1);
for my $program (@programs)
{
    my ($name) = $program =~ /_(\w+)$/;
    my ($out, $err) = ('', '');
    local $ENV{TSAN_OPTIONS} = 'halt_on_error=0';
    my $good = run([ $program, "$dir/ca.crt", $tls->{good}, $mail->{url}, '127.0.0.1:' . $silent->sockport, $rounds ], '<', \undef, '>', \$out, '2>', \$err, timeout(120));
    ok($good, "$name: it ends well");
    is($err, '', "$name: the sanitizer has nothing to say");
    is($out, join('', map { "$_ $expected{$_}\n" } sort keys %expected), "$name: each transfer has its outcome");
}
is(scalar(lines_of($receiver, sub { $_[0]{path} eq '/stolen' })), 0, 'no redirect was followed');

done_testing();
