# What the TAP tests share: a server with the extension, and the payment API
# stand-in.
package FraudDetect;

use strict;
use warnings;

use Exporter 'import';
use File::Temp ();
use IPC::Run qw(start finish);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Time::HiRes qw(usleep time);

our @EXPORT = qw(new_server crash start_api stop_api wait_for seconds_of patient reload_with noon_zone payment stump $answers);

my @apis;

# Makes and starts a server; with preload => 0 without the workers, with hosts => undef with
# the egress policy as it is by default, with install_path => that of another PostgreSQL than
# the tests' own.
sub new_server
{
    my ($name, %options) = @_;
    my $node = PostgreSQL::Test::Cluster->new($name, %options{ grep { $_ eq 'install_path' } keys %options });
    # UTF-8, which payments need, whatever the locale that the tests run in.
    $node->init(extra => [ '--encoding=UTF8', '--locale=C' ], %{ $options{init} // {} });
    $node->append_conf('postgresql.conf', "max_worker_processes = 32\nfraud_detect.max_alert_growth = 0\nfraud_detect.max_alert_share = 1\nfraud_detect.max_block_share = 1\ntimezone = 'UTC'\nfraud_detect.max_age = 0\n"
          . "log_line_prefix = '%m [%p] %b '\nlog_statement = none\n");
    # The stand-ins and receivers listen on loopback.
    my $hosts = exists $options{hosts} ? $options{hosts} : '*, 127.0.0.1';
    $node->append_conf('postgresql.conf', "fraud_detect.allowed_hosts = '$hosts'") if defined $hosts;
    $node->append_conf('postgresql.conf', "shared_preload_libraries = 'fraud_detect'")
      if $options{preload} // 1;
    $node->append_conf('postgresql.conf', $options{conf}) if $options{conf};
    $node->start;
    $node->safe_psql('postgres', 'CREATE EXTENSION fraud_detect') if $options{extension} // 1;
    return $node;
}

# Kills a process of a server with restart_after_crash; returns whether the server has begun anew and answers. A psql that
# is refused ends without reading, and IPC::Run dies of writing to it: until then none is given a query.
sub crash
{
    my ($node, $pid) = @_;
    my $before = -s $node->logfile;
    kill 'KILL', $pid;
    return wait_for(sub { slurp_file($node->logfile, $before) =~ /all server processes terminated; reinitializing/ }, 'the server notices')
      && $node->poll_query_until('postgres', undef, '');
}

# Starts the stand-in; returns its handle, whose {url} is its address.
sub start_api
{
    my (@options) = @_;
    my $directory = File::Temp->newdir;
    my $port_file = "$directory/port";
    my ($out, $err) = ('', '');
    my $harness = start(
        [
            'python3', "$ENV{FRAUD_TREE}/test/payment_api/payment_api.py",
            '--port-file', $port_file, @options
        ],
        '<', \undef, '>', \$out, '2>', \$err);
    wait_for(sub { -s $port_file }, 'the payment API listens') or die "no payment API: $err";
    open(my $file, '<', $port_file) or die $!;
    chomp(my $port = <$file>);
    my $api = { harness => $harness, url => "http://127.0.0.1:$port", directory => $directory };
    push @apis, $api;
    return $api;
}

sub stop_api
{
    my ($api) = @_;
    return unless $api->{harness};
    $api->{harness}->signal('TERM');
    finish($api->{harness});
    $api->{harness} = undef;
}

END
{
    my $status = $?;
    stop_api($_) for @apis;
    $? = $status;
}

# Polls until the code is true; false when it is not within 180 seconds, as in PostgreSQL's
# own tests: a machine that does much else is slow, not wrong.
sub wait_for
{
    my ($code, $what, $seconds) = @_;
    my $deadline = time + ($seconds // 180);
    while (time < $deadline)
    {
        return 1 if $code->();
        usleep(50_000);
    }
    Test::More::diag("timed out: $what");
    return 0;
}

# Returns how long the code took.
sub seconds_of
{
    my ($code) = @_;
    my $start = time;
    $code->();
    return time - $start;
}

# Returns how long something may take that is promised within so many seconds: longer on a
# machine with more to do than it has processors for, so that the test tells a wait from a
# crowd. What would be waited for must take a minute and more.
sub patient
{
    my ($seconds) = @_;
    open(my $file, '<', '/proc/loadavg') or return $seconds;
    my ($load) = split ' ', <$file>;
    my $processors = grep { /^processor/ } split /\n/, PostgreSQL::Test::Utils::slurp_file('/proc/cpuinfo');
    my $crowd = $load / ($processors || 1);
    return $seconds * (1 + ($crowd < 9 ? $crowd : 9));
}

# Changes a setting of a running server to a value, written as SHOW shows it. A session that
# starts with it was started by a postmaster that has told all its processes of it, so whatever
# these are asked from now on they do by the new setting.
sub reload_with
{
    my ($node, $setting, $value) = @_;
    $node->append_conf('postgresql.conf', "$setting = '$value'");
    $node->reload;
    $node->poll_query_until('postgres', "SHOW $setting", $value) or die "$setting = $value is not taken";
}

# Returns a model in XGBoost's JSON of one tree with one split: from the threshold on the feature speaks for fraud.
sub stump
{
    my ($feature, $threshold) = @_;
    return '{"version":[1,7,4],"learner":{"attributes":{},"feature_names":["' . $feature . '"],"feature_types":["float"],"gradient_booster":{"model":{"gbtree_model_param":{"num_parallel_tree":"1","num_trees":"1","size_leaf_vector":"0"},"tree_info":[0],"trees":[{"base_weights":[0,-1,1],"categories":[],"categories_nodes":[],"categories_segments":[],"categories_sizes":[],"default_left":[0,0,0],"id":0,"left_children":[1,-1,-1],"loss_changes":[1,0,0],"parents":[2147483647,0,0],"right_children":[2,-1,-1],"split_conditions":[' . $threshold . ',-1,1],"split_indices":[0,0,0],"split_type":[0,0,0],"sum_hessian":[1,1,1],"tree_param":{"num_deleted":"0","num_feature":"1","num_nodes":"3","size_leaf_vector":"0"}}]},"name":"gbtree"},"learner_model_param":{"base_score":"5E-1","num_class":"0","num_feature":"1"},"objective":{"name":"binary:logistic","reg_loss_param":{"scale_pos_weight":"1"}}}}';
}

# Returns a time zone in which it is between noon and one now, so that no midnight comes
# between two looks at the date.
sub noon_zone
{
    my $hour = (gmtime)[2];
    return $hour >= 12 ? 'Etc/GMT+' . ($hour - 12) : 'Etc/GMT-' . (12 - $hour);
}

# Defines pg_temp.answer(query), which is what a query of one value says; for a query about each of many tables. (XML would do
# it without, but not every build has it.)
our $answers = <<'SQL';
CREATE FUNCTION pg_temp.answer(query text) RETURNS text LANGUAGE plpgsql AS 'DECLARE said text; BEGIN EXECUTE query INTO said; RETURN said; END';
SQL

# Returns the JSON of a payment, with fields changed as asked.
sub payment
{
    my (%fields) = @_;
    my %payment = (
        cc_num => 4000000000000002,
        trans_num => '"t-1"',
        amt => 12.5,
        merchant => '"fraud_Corner Shop"',
        category => '"misc_pos"',
        current_time => 1700000000000,
        %fields);
    return '{' . join(',', map { qq("$_":$payment{$_}) } sort keys %payment) . '}';
}

1;
