# Whoever may call a function may call it with anything: no server falls, no worker is
# lost, nothing takes more than five seconds, no error is an internal one, and none that is
# raised on purpose tells where in our code that was. Functions, rights and arguments are read
# from the catalog; then all of the schema, by a superuser.
use strict;
use warnings;

use Arguments qw(make_world functions_of calls_of fuzz_calls trigger_calls);
use FraudDetect;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('main', conf => "restart_after_crash = on\nlog_min_error_statement = panic\nlog_min_messages = log\nautovacuum = off\n");
my @roles = make_world($node);
srand(20261);

# What waits, as documented, or makes as much as it is asked for, may be cancelled for its time.
my $waits = qr/fraud\.(_?wait_for_training|simulate)/;
# Calls with good arguments that are refused, and why.
my %refused = (
    (map { $_ => 'without pg_cron' } qw(_in_cron_database schedule unschedule _schedule _unschedule)),
    (map { $_ => 'the notification is delivered' } qw(retry_notification _retry_notification)),
    (map { $_ => 'no customer is on hold' } qw(release_customer _release_customer)),
    (map { $_ => 'it says why there is nothing' } qw(_refuse_no_events)),
    (map { $_ => 'no key is retired' } qw(destroy_card_key _destroy_card_key)),
    (map { $_ => 'it commits, which the transaction around each call does not let it' } qw(load_history_in_batches fold_tiles)),
    (map { $_ => 'no customer is being erased' } qw(_erase_payments)),
    (map { $_ => 'that it refuses is all it does' } qw(_no_such)),
    (map { $_ => 'a row is made of nothing sound' } qw(_shown_source _shown_version _shown_channel)),
    (map { $_ => 'the scheme is to be one of those given' } qw(_check_destination)));

my $directory = PostgreSQL::Test::Utils::tempdir();
my $server_pid = $node->safe_psql('postgres', 'SELECT pg_postmaster_start_time()');
sub workers { return $node->safe_psql('postgres', q{SELECT string_agg(pid::text, ' ' ORDER BY pid) FROM pg_stat_activity WHERE backend_type LIKE 'fraud_detect%' AND backend_type <> 'fraud_detect training'}) }

# What errors of functions that people call show of our code, by function: statements, and functions that led there.
my %contexts;
my $tells = qr/^(?:CONTEXT:  (?!JSON data,|while )|QUERY:  |SQL statement |SQL function |PL\/)/;

# Runs the calls in one session, each in a transaction that is rolled back; returns what
# came of each: an empty text, or the SQLSTATE and the message, or 'lost'.
sub outcomes
{
    my ($role, @calls) = @_;
    my @outcomes = ('') x @calls;
    my $first = 0;
    while ($first < @calls)
    {
        my $file = "$directory/calls.sql";
        open(my $out, '>', $file) or die $!;
        print $out "\\set VERBOSITY verbose\n\\o /dev/null\nSET statement_timeout = '30s'; SET client_min_messages = error;\n";
        print $out "BEGIN;\n";
        print $out "\\warn call $_\n$calls[$_]{sql};\nROLLBACK\\; BEGIN;\n" for $first .. $#calls;
        close $out;
        my $stderr = '';
        my $seen = -1;
        $node->psql('postgres', undef, extra_params => [ '-f', $file, '-U', $role ], on_error_stop => 0, stderr => \$stderr, stdin => '');
        my $lost = 0;
        for my $line (split /\n/, $stderr)
        {
            if ($line =~ /^call (\d+)$/) { $seen = $1 }
            elsif ($line =~ /(?:ERROR|FATAL|PANIC):  (\w{5}): (.*)/ && $outcomes[$seen] eq '') { $outcomes[$seen] = "$1 " . substr($2, 0, 300) }
            elsif ($line =~ $tells && $calls[$seen]{function}{name} !~ /^_/) { $contexts{ $calls[$seen]{function}{call} } //= "$outcomes[$seen]: $line: $calls[$seen]{sql}" }
            elsif ($line =~ /server closed the connection|connection to server was lost/) { $lost = 1 }
        }
        last unless $lost;
        $outcomes[$seen] = 'lost';
        $first = $seen + 1;
        $node->poll_query_until('postgres', undef, '') or die 'the server does not come back';
    }
    return @outcomes;
}

# What a null says, where it is neither the default nor refused.
my %may_be_null = (
    (map { $_ => 'what an aggregate of no rows gives: no payment' } qw(ingest.payment)),
    (map { $_ => 'nobody: the case is given back' } qw(assign_case.assignee assign_cases.assignee assign_stream_case.assignee)),
    (map { $_ => 'what was said before is taken back' } qw(label_event.is_fraud)),
    (map { $_ => 'none: it is taken away' } qw(describe_model.description)),
    (map { $_ => 'no value, as of a count' } qw(add_window_feature.value)),
    (map { $_ => 'without an end' } qw(wait_for_training.timeout)),
    (map { $_ => 'what is learnt' } qw(expect_payments.within)),
    (map { $_ => 'as without it' } qw(ingest.source ingest.format add_rule.priority add_rule.on_error train.params train.columns promote.columns alter_channel.reset alter_source.reset import_model.best_iteration),
        map { ("$_.overrule") } qw(confirm_case confirm_cases dismiss_case dismiss_cases decide_case label)),
    (map { $_ => 'no' } qw(resume_channel.discard_waiting promote.override_gate erase_customer.force)));
my (@silent, @vague);

my $dump = $ENV{ARGUMENTS_DUMP};
sub try_all
{
    my ($role, $functions, %more) = @_;
    my @calls;
    for my $function (@$functions)
    {
        push @calls, map { { %$_, function => $function } }
          $function->{returns} eq 'trigger' ? trigger_calls($function) : (calls_of($function, $more{briefly}{ $function->{call} }), fuzz_calls($function, $more{fuzz}));
    }
    my $start = time;
    my $before = workers();
    my @outcomes = outcomes($role, @calls);
    # On a machine that is busy with something else five seconds may be short once.
    for my $again (grep { $outcomes[$_] =~ /^57014/ && $calls[$_]{sql} !~ $waits } 0 .. $#calls)
    {
        ($outcomes[$again]) = outcomes($role, $calls[$again]);
    }
    if ($dump)
    {
        open(my $out, '>', "$dump.$role") or die $!;
        print $out ($calls[$_]{good} ? 'good ' : $calls[$_]{null} ? "null $calls[$_]{null}{name} " : ''), "$outcomes[$_]\t$calls[$_]{sql}\n" for 0 .. $#calls;
    }
    my @faults;
    for my $i (0 .. $#calls)
    {
        my ($outcome, $sql) = ($outcomes[$i], substr($calls[$i]{sql}, 0, 600));
        push @faults, "$outcome: $sql"
          if $outcome =~ /^lost|^XX|cache lookup failed|unrecognized node|could not open relation with OID/
          || ($outcome =~ /^57014/ && $sql !~ $waits);
    }
    my @bad = grep { $calls[$_]{good} && $outcomes[$_] ne '' && !$refused{ $calls[$_]{function}{name} } && $calls[$_]{function}{returns} !~ /^(trigger|internal)$/
          && !grep { $_->{type} eq 'internal' } @{ $calls[$_]{function}{arguments} } } 0 .. $#calls;
    # What acts says so when it does not: an argument that is not null by default is refused, or means something.
    push @silent, map { "$calls[$_]{null}{name}: $calls[$_]{sql}" }
      grep { $calls[$_]{null} && $calls[$_]{function}{acts} && $calls[$_]{function}{name} !~ /^_/ && !$calls[$_]{null}{may_be_null} && $outcomes[$_] eq '' && !$may_be_null{"$calls[$_]{function}{name}.$calls[$_]{null}{name}"} } 0 .. $#calls;
    # And it says that it is the null, not what it made of it.
    push @vague, map { "$calls[$_]{null}{name}: $outcomes[$_]: $calls[$_]{sql}" }
      grep { $calls[$_]{null} && $calls[$_]{function}{name} !~ /^_/ && !$calls[$_]{null}{may_be_null} && $calls[$_]{function}{kind} ne 'a' && $outcomes[$_] ne '' && $outcomes[$_] !~ /^22004/
          && !$refused{ $calls[$_]{function}{name} } && !$may_be_null{"$calls[$_]{function}{name}.$calls[$_]{null}{name}"} } 0 .. $#calls;
    push @vague, map { "$outcomes[$_]: $calls[$_]{sql}" } grep { $calls[$_]{function}{name} !~ /^_/ && $outcomes[$_] =~ /<NULL>/ } 0 .. $#calls;
    is(join("\n", @faults), '', "$role: " . @calls . ' calls of ' . @$functions . ' functions, ' . (time - $start) . ' s');
    is(join("\n", map { "$outcomes[$_]: $calls[$_]{sql}" } @bad), '', "$role: what works with good arguments does");
    is(workers(), $before, "$role: the workers are those that were");
}

my %tried;
for my $role (@roles, 'nobody')
{
    my @functions = functions_of($node, $role);
    cmp_ok(scalar @functions, '>', 0, "$role may call something") if $role ne 'nobody';
    try_all($role, \@functions, fuzz => 10) if @functions;
    $tried{ $_->{call} } = 1 for @functions;
}
try_all('postgres', [ functions_of($node, 'postgres') ], fuzz => 3, briefly => \%tried);

# Code that somebody left with an index runs in whoever's session. What changes something refuses there, with good arguments, but for
# fraud.ingest: it stores payments, as that user may store them.
$node->safe_psql('postgres', 'CREATE ROLE everybody LOGIN; GRANT USAGE, CREATE ON SCHEMA world TO everybody; ' . join(' ', map { "SELECT fraud.grant_access('everybody', '$_');" } @roles));
my @acts = grep { $_->{acts} && $_->{name} !~ /^_/ && $_->{kind} =~ /[fp]/ && $_->{returns} ne 'trigger' } functions_of($node, 'everybody');
$node->safe_psql('postgres', q{
CREATE TABLE world.attempts (name text, statement text, outcome text);
CREATE FUNCTION world.try_all() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    attempt record;
BEGIN
    FOR attempt IN SELECT a.ctid, a.statement FROM world.attempts a LOOP
        BEGIN
            EXECUTE attempt.statement;
            RAISE EXCEPTION 'went through';
        EXCEPTION WHEN OTHERS THEN
            UPDATE world.attempts a SET outcome = SQLSTATE || ' ' || SQLERRM WHERE a.ctid = attempt.ctid;
        END;
    END LOOP;
END $$;
CREATE FUNCTION world.indexed(v int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN
    IF current_setting('world.armed', true) = 'yes' THEN EXECUTE 'SELECT world.try_all()'; END IF;
    RETURN v;
END $$;
CREATE TABLE world.trap AS SELECT 1 AS v;
CREATE INDEX ON world.trap (world.indexed(v));
INSERT INTO world.attempts (name, statement) VALUES } . join(",\n", map { my $f = $_; "('$f->{call}', \$call\$" . Arguments::call($f, [ map { Arguments::good($f, $_) } @{ $f->{arguments} } ]) . '$call$)' } @acts), extra_params => [ '-U', 'everybody' ]);
$node->safe_psql('postgres', "SET world.armed = 'yes'; ANALYZE world.trap");
cmp_ok($node->safe_psql('postgres', "SELECT count(*) FROM world.attempts WHERE outcome ~ '^42501 fraud[.]'"), '>', 80, 'functions that act are called by code that was left with an index');
is($node->safe_psql('postgres', "SELECT name, outcome FROM world.attempts WHERE coalesce(outcome, '') !~ ('^42501 ' || regexp_replace(name, '([.])', '[.]') || ' cannot be called within a security-restricted operation\$') ORDER BY 1, 2"),
    "fraud.fold_tiles|25001 fraud.fold_tiles cannot run inside a transaction block\nfraud.ingest|P0001 went through\nfraud.ingest|P0001 went through\nfraud.load_history_in_batches|25001 fraud.load_history_in_batches cannot run inside a transaction block",
    'and refuse');

# What people write of a matter may name a customer, and rows of fraud.audit_log stay: it has none of that but of models and features,
# and of customers without what says who it is.
my @written;
for my $function (grep { $_->{name} !~ /^_/ } functions_of($node, 'postgres'))
{
    my @arguments = @{ $function->{arguments} };
    next unless grep { $_->{name} =~ /^(reason|note)$/ } @arguments;
    my $call = Arguments::call($function, [ map { $_->{name} =~ /^(reason|note)$/ ? "'Zoe Quack was here'" : Arguments::good($function, $_) } @arguments ]);
    my $found = '';
    $node->psql('postgres', "BEGIN;\n\\o /dev/null\n$call;\n\\o\nSELECT count(*) FROM fraud.audit_log WHERE concat(old, new) ~ 'Zoe Quack'; ROLLBACK;", stdout => \$found, stderr => \my $error, extra_params => ['-q']);
    is($error // '', '', "$function->{call} takes a reason or note") unless $refused{ $function->{name} };
    push @written, $function->{name} if $found =~ /[1-9]/;
}
is(join(' ', sort @written), 'add_feature add_window_feature erase_customer hold_customer promote rollback', 'what people write of a matter is not in the audit log');

# A card number that somebody writes into any text of a call is in no table afterwards: it is refused, or masked. What works only as it is stays: where messages
# and polls go, what they say, what is computed.
my $as_it_is = qr/^(url|headers|template|condition|expression|filter|secrets?|smtp_url|smtp_user|smtp_password|target|request|mapping)$/;
$node->safe_psql('postgres', q{
CREATE FUNCTION world.holding(digits text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    relation regclass;
    found boolean;
    held text[] := '{}';
BEGIN
    FOR relation IN SELECT c.oid FROM pg_class c WHERE c.relnamespace = 'fraud'::regnamespace AND c.relkind = 'r' ORDER BY 1 LOOP
        EXECUTE format('SELECT EXISTS (SELECT FROM %s t WHERE regexp_replace(t::text, ''[ -]'', '''', ''g'') ~ $1)', relation) INTO found USING digits;
        IF found THEN held := held || relation::text; END IF;
    END LOOP;
    RETURN array_to_string(held, ' ');
END $$});
my ($placed, @kept) = (0);
for my $function (grep { $_->{acts} && $_->{name} !~ /^_/ && $_->{kind} eq 'f' && !$refused{ $_->{name} } } functions_of($node, 'postgres'))
{
    my @arguments = @{ $function->{arguments} };
    my @good = map { Arguments::good($function, $_) } @arguments;
    my @calls;
    for my $i (grep { $arguments[$_]{type} =~ /^(text|name|text\[\]|jsonb)$/ && $arguments[$_]{name} !~ $as_it_is } 0 .. $#arguments)
    {
        my $type = $arguments[$i]{type};
        my @values = $type eq 'jsonb' ? map { ("'{\"x\": \"$_\"}'::jsonb", "'{\"$_\": 1}'::jsonb") } 'a5555555555554444', '5555 5555 5555 4444'
          : $type eq 'text[]' ? ("'{a5555555555554444}'::text[]", "'{5555 5555 5555 4444}'::text[]") : ("'a5555555555554444'", "'5555 5555 5555 4444'");
        push @values, "$good[$i] || '{\"a5555555555554444\": \"5555 5555 5555 4444\"}'" if $type eq 'jsonb';
        for my $value (@values)
        {
            my @given = @good;
            $given[$i] = $value;
            push @calls, Arguments::call($function, \@given);
        }
    }
    next unless @calls;
    $placed += @calls;
    my $found = '';
    $node->psql('postgres', join('', map { "BEGIN;\n\\o /dev/null\n$_;\n\\o\nSELECT '$function->{name}: ' || h || ': ' || \$call\$$_\$call\$ FROM world.holding('5{12}4444') h WHERE h <> '';\nROLLBACK;\n" } @calls),
        stdout => \$found, stderr => \my $errors, extra_params => ['-q'], on_error_stop => 0);
    push @kept, $found if $found ne '';
}
cmp_ok($placed, '>', 300, 'card numbers are written into texts of calls');
is(join("\n", @kept), '', 'and are in no table');

is(join("\n", map { substr($contexts{$_}, 0, 300) } sort keys %contexts), '', 'errors say what is wrong, not where in our code');
# What is STRICT says nothing of a null: that is for values of rows.
is( $node->safe_psql('postgres', q{SELECT string_agg(DISTINCT p.proname, ' ' ORDER BY p.proname) FROM pg_proc p JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
      WHERE p.pronamespace = 'fraud'::regnamespace AND p.proisstrict AND p.proname !~ '^_'}),
    'currency_decimals distance_km event_is_fraud event_label_changes event_label_known_at features', 'what is looked up by a null is refused, unless it is a value of a row');
is(join("\n", map { substr($_, 0, 300) } @silent), '', 'a function that acts refuses a null for what it needs');
is(join("\n", map { substr($_, 0, 300) } @vague), '', 'a null that is not taken is an error of its own, 22004');
unlike(slurp_file($node->logfile), qr/terminated by signal|exited with exit code [^01]|PANIC/, 'no process of the server fell');
is($node->safe_psql('postgres', 'SELECT pg_postmaster_start_time()'), $server_pid, 'the server is the one that was');

done_testing();
