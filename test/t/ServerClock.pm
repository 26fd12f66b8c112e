# The clock of a server, which a test sets: a library in front of the C library's (test/clock) adds seconds that it reads in a file.
package ServerClock;
use strict;
use warnings;

use Exporter 'import';
use File::Temp ();

our @EXPORT = qw(clock_environment set_clock);

my $directory = File::Temp->newdir;
chmod 0755, "$directory";

# What a server is to be started with, whose clock is right at first; empty where there is no C compiler.
sub clock_environment
{
    return () if system("cc -O1 -shared -fPIC -o '$directory/clock.so' '$ENV{FRAUD_TREE}/test/clock/clock.c' 2>/dev/null") != 0;
    set_clock(0);
    return (LD_PRELOAD => "$directory/clock.so", FRAUD_CLOCK => "$directory/clock");
}

# From now on it is so many seconds later there. Where the file is mapped it is written in place.
sub set_clock
{
    my ($seconds) = @_;
    open(my $file, -e "$directory/clock" ? '+<' : '>', "$directory/clock") or die $!;
    binmode $file;
    print $file pack('q', $seconds);
    close $file;
}

1;
