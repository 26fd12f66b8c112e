# Sources with a request: pages of every kind, what is kept of them, signing on, limits.
use strict;
use warnings;

use FraudDetect;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $api = start_api('--booked', '95', '--token-seconds', '2');
my $node = new_server('main', conf => "fraud_detect.max_retry_delay = 1s\nfraud_detect.poll_timeout = 10s\n");
my $pages = "$api->{url}/bank/flat";

sub value { return $node->safe_psql('postgres', $_[0]) }
sub status { my ($name, $columns) = @_; return value("SELECT $columns FROM fraud.source_status WHERE name = '$name'") }

sub add
{
    my ($name, $url, $request, $more) = @_;
    value("SELECT fraud.add_source('$name', '$url', poll_interval => '1 day', request => '$request'" . ($more // '') . ')');
}

sub reaches
{
    my ($name, $condition, $what) = @_;
    ok($node->poll_query_until('postgres', "SELECT $condition FROM fraud.source_status WHERE name = '$name'"), $what)
      or diag(status($name, "to_jsonb(source_status)"));
}

sub got { return `curl -s '$api->{url}/bank/$_[0]'` }

# What the bank was asked, of one path.
sub asked
{
    my ($path) = @_;
    return value("SELECT json_agg(l ORDER BY n) FROM json_array_elements('" . (got('log') =~ s/'/''/gr) . "'::json) WITH ORDINALITY e(l, n) WHERE l ->> 'path' = '$path'");
}

sub of_log
{
    my ($path, $expression) = @_;
    return value("SELECT string_agg(coalesce($expression, '-'), ' ' ORDER BY n) FROM json_array_elements('" . (got('log') =~ s/'/''/gr) . "'::json) WITH ORDINALITY e(l, n) WHERE l ->> 'path' = '$path'");
}

# ------------------------------------------------------------ kinds of paging
# Each source's payments have one id, so that the first stores them and the others know them.
add('cursors', "$pages/cursor?limit=20", '{"paging": {"kind": "cursor", "path": "$.next_cursor"}}');
reaches('cursors', "state = 'ok' AND stored + duplicates + waiting = 95 AND pages = 5 AND polls = 1 AND cursor IS NULL", 'cursors: all pages in one poll');
add('more', "$pages/cursor", '{"paging": {"kind": "cursor", "path": "$.next_cursor", "more": "$.has_more", "size": 30, "size_parameter": "limit"}}');
reaches('more', "state = 'ok' AND duplicates + waiting = 95 AND pages = 4", 'cursors with has_more, and a size');
add('headers', "$pages/cursor?limit=50", '{"paging": {"kind": "cursor", "header": "X-Next-Cursor"}}');
reaches('headers', "state = 'ok' AND duplicates + waiting = 95 AND pages = 2", 'cursors in a header');
add('links', "$pages/link?limit=40", '{"paging": {"kind": "link"}}');
reaches('links', "state = 'ok' AND duplicates + waiting = 95 AND pages = 3", 'links in a header');
add('numbers', "$pages/page", '{"paging": {"kind": "page", "size": 25, "size_parameter": "limit"}}');
reaches('numbers', "state = 'ok' AND duplicates + waiting = 95 AND pages = 4", 'page numbers');
add('offsets', "$pages/offset?limit=19", '{"query": {"offset": "{{offset}}"}, "paging": {"kind": "offset"}}');
reaches('offsets', "state = 'ok' AND duplicates + waiting = 95 AND pages = 6", 'offsets, until a page is empty');
add('searches', "$pages/search",
    '{"body": {"from": "{{since:epoch_ms}}", "after": "{{cursor}}", "limit": 10}, "since": {"first": "2 days"}, "paging": {"kind": "cursor", "path": "$.next"}}');
reaches('searches', "state = 'ok' AND duplicates + waiting = 95 AND pages = 10", 'POST with a body');
is(of_log('flat/search', "l ->> 'type'") =~ s/ .*//r, 'application/json', 'which is JSON');
is(value('SELECT count(*) FROM fraud.payment_keys') + value('SELECT count(*) FROM fraud.inbox WHERE transaction_id NOT IN (SELECT transaction_id FROM fraud.payment_keys)'),
    95, 'each payment once');

# -------------------------------------------------------------- since, cursors that last
add('since', "$pages/cursor?limit=50", '{"query": {"from": "{{since}}"}, "since": {"first": "3 days", "overlap": "10 seconds"}, "paging": {"kind": "cursor", "path": "$.next_cursor"}}');
reaches('since', "state = 'ok' AND pages = 2", 'since: the first poll begins where it is told');
add('kept', "$pages/cursor?limit=20&always=1", '{"paging": {"kind": "cursor", "path": "$.next_cursor", "keep": true}}');
reaches('kept', "state = 'ok' AND duplicates + waiting = 95 AND cursor LIKE 'cursor %'", 'a cursor that is kept');
my $pages_before = status('kept', 'pages');
my $cursor_before = status('kept', 'cursor');
add('grows', "$pages/offset", '{"paging": {"kind": "offset", "keep": true, "size": 40, "size_parameter": "limit"}}');
reaches('grows', "state = 'ok' AND cursor = 'offset 95'", 'an offset that is kept');
got('book?count=130');
value("SELECT fraud.poll_now(n) FROM unnest('{since,kept,grows}'::text[]) n");
reaches('kept', "polls = 2 AND state = 'ok' AND stored + duplicates + waiting = 130 AND pages <= $pages_before + 3 AND cursor <> '$cursor_before'", 'goes on where it was');
reaches('grows', "polls = 2 AND state = 'ok' AND cursor = 'offset 130' AND stored + duplicates + waiting = 130", 'and so does the offset');
reaches('since', "polls = 2 AND state = 'ok' AND stored + duplicates + waiting = 95 + 35 + 21", 'since: the newest payment less the overlap');
# A copy of the database goes on there too.
$node->command_ok([ 'pg_dump', '-Fc', '-f', $node->basedir . '/dump', $node->connstr('postgres') ], 'a dump');
value('CREATE DATABASE copy TEMPLATE template0');
$node->command_ok([ 'pg_restore', '--exit-on-error', '-d', $node->connstr('copy'), $node->basedir . '/dump' ], 'restored');
is($node->safe_psql('copy', "SELECT cursor, state FROM fraud.source_status WHERE name = 'grows'"), 'offset 130|restored', 'has the place');
$node->safe_psql('copy', "SELECT fraud.resume_source('grows')");
ok($node->poll_query_until('copy', "SELECT state = 'ok' AND pages = (SELECT pages FROM fraud.source_positions WHERE name = 'grows') AND duplicates + stored + waiting = 0 FROM fraud.source_status WHERE name = 'grows'"),
    'and asks for what comes after it');
value('DROP DATABASE copy');
value("SELECT fraud.alter_source('grows', reset => '{position}')");
reaches('grows', "polls = 3 AND state = 'ok' AND cursor = 'offset 130' AND pages = 4", 'until it is told to begin anew');

# ---------------------------------------------------------------- not modified
add('tagged', "$pages/tagged?limit=200", '{"conditional": true}');
reaches('tagged', "state = 'ok' AND last_status = 200 AND pages = 1", 'an answer with an ETag');
value("SELECT fraud.poll_now('tagged')");
reaches('tagged', "polls = 2 AND state = 'ok' AND last_status = 304 AND failures = 0 AND pages = 1", 'is asked for by it, and not modified is a success');
got('book?count=131');
value("SELECT fraud.poll_now('tagged')");
reaches('tagged', "polls = 3 AND last_status = 200 AND pages = 2 AND stored + duplicates + waiting = 261", 'until it is modified');
value("SELECT fraud.alter_source('tagged', format => 'split')");
reaches('tagged', "polls = 4 AND last_status = 200 AND pages = 3", 'what is to be read otherwise is asked for in full');
is(of_log('flat/tagged', "l ->> 'none_match'"), '- "130" "130" -', 'as the bank saw it');

# -------------------------------------------------------------------- faults
add('loop', "$pages/loop", '{"paging": {"kind": "cursor", "path": "$.next_cursor"}}');
reaches('loop', "state = 'failing' AND last_error = 'the answer''s next cursor is the one that was asked for'", 'a cursor that leads to itself');
value("SELECT fraud.drop_source('loop')");
add('away', "$pages/link?to=http://localhost:1/x", '{"paging": {"kind": "link"}}');
reaches('away', "last_error LIKE 'the answer''s next link must lead to the same scheme, host and port, not to http, \"localhost\", port 1'", 'a link to another host is not followed');
value("SELECT fraud.drop_source('away')");
add('failing', "$pages/cursor?limit=20&fail=a:" . 'YXQ6NDA=' . ":2", '{"paging": {"kind": "cursor", "path": "$.next_cursor"}}');
reaches('failing', "failures = 2 AND state = 'ok' AND pages = 7 AND stored + duplicates + waiting = 131", 'a page that fails is tried again, and none before it');
add('flaky', "$pages/page?fail=f:2:1,f:4:1", '{"paging": {"kind": "page", "size": 30, "size_parameter": "limit"}}');
reaches('flaky', "failures = 2 AND state = 'ok' AND pages = 5", 'pages that fail now and then');
my @again = slurp_file($node->logfile) =~ /source "flaky": poll succeeded again \(failures before it: (\d+)\)/g;
is("@again", '1 1', 'are no failures in a row');
add('lost', "$pages/lost?limit=20", '{"paging": {"kind": "cursor", "path": "$.next_cursor"}}');
reaches('lost', "failures = 1 AND last_error LIKE 'HTTP status 410%' AND state = 'ok' AND pages = 9", 'a place that the API has forgotten is left: it begins anew');
add('bound', "$pages/cursor?limit=20", '{"paging": {"kind": "cursor", "path": "$.next_cursor", "max_pages": 3}}');
reaches('bound', "state = 'ok' AND polls = 1 AND pages = 3 AND cursor IS NOT NULL", 'so many pages a poll');
value("SELECT fraud.poll_now('bound')");
reaches('bound', "state = 'ok' AND polls = 2 AND pages = 6", 'and so many more the next time');
value("SELECT fraud.poll_now('bound')");
reaches('bound', "state = 'ok' AND polls = 3 AND pages = 7 AND cursor IS NULL", 'to the end');
add('most', "$pages/cursor?limit=20", '{"paging": {"kind": "cursor", "path": "$.next_cursor"}}', ', max_poll_payments => 50');
reaches('most', "state = 'ok' AND polls = 1 AND pages = 3", 'no more pages than max_poll_payments lets');

# ------------------------------------------------------------------ signing on
my $oauth = qq({"auth": {"kind": "oauth2_client_credentials", "token_url": "$api->{url}/bank/token", "client_id": "fraud detect", "scope": "read"},
    "paging": {"kind": "cursor", "path": "\$.next_cursor"}, "rate_limit": 120});
add('oauth', "$pages/transactions?limit=20", $oauth, q(, secrets => '{"client_secret": "s3cret & more"}'));
reaches('oauth', "state = 'ok' AND stored + duplicates + waiting = 131 AND pages = 7 AND failures = 0", 'with tokens that expire between pages');
cmp_ok(scalar(split(' ', of_log('token', "l ->> 'authorization'"))), '>=', 2, 'and are renewed');
got('expire');
value("SELECT fraud.alter_source('oauth', request => '" . ($oauth =~ s/"rate_limit": 120/"rate_limit": 6000/r) . "')");
got('expire');
value("SELECT fraud.poll_now('oauth')");
reaches('oauth', "polls >= 2 AND state = 'ok' AND failures = 0", 'a token that was taken back is replaced');
add('body', "$pages/transactions?limit=200", $oauth =~ s/"scope"/"secret_in": "body", "parameters": {"audience": "x"}, "scope"/r, q(, secrets => '{"client_secret": "s3cret & more"}'));
reaches('body', "state = 'ok' AND pages = 1", 'the secret of the client in the body');
like(asked('token'), qr/audience=x/, 'with parameters of its own');
add('refused', "$pages/transactions", $oauth, q(, secrets => '{"client_secret": "wr0ng"}'));
reaches('refused', "state = 'failing' AND last_error = 'could not get an access token: HTTP status 401, expected 200 (invalid_client)'", 'a wrong secret is said');
add('basic', "$pages/basic?limit=200", '{"auth": {"kind": "basic", "user": "reader"}}', q(, secrets => '{"password": "pass word"}'));
reaches('basic', "state = 'ok' AND pages = 1", 'basic');
add('key_header', "$pages/key?limit=200", '{"auth": {"kind": "api_key", "header": "X-Bank-Key"}}', q(, secrets => '{"key": "bank-key-1"}'));
reaches('key_header', "state = 'ok' AND pages = 1", 'a key in a header');
add('key_query', "$pages/key?limit=100", '{"auth": {"kind": "api_key", "parameter": "api_key"}, "paging": {"kind": "cursor", "path": "$.next_cursor"}}', q(, secrets => '{"key": "bank-key-1"}'));
reaches('key_query', "state = 'ok' AND pages = 2", 'a key in the query');
is(value(q(SELECT count(*) FROM fraud.source_positions p WHERE p::text ~ 'bank-key-1')), '0', 'which is nowhere else');
add('keyless', "$pages/key", '{"auth": {"kind": "api_key", "header": "X-Bank-Key"}}', q(, secrets => '{"key": "other"}'));
reaches('keyless', "state = 'failing' AND last_error = 'HTTP status 401, expected 200'", 'a wrong key');
# No secret is in the log, the audit, or what others may read.
value("SELECT fraud.alter_source('basic', secrets => '{\"password\": \"pass word\"}')");
my $audit = value("SELECT string_agg(a::text, ' ') FROM fraud.audit_log a WHERE object_kind = 'source'");
my $secret = qr/s3cret|pass word|bank-key-1|wr0ng/;
unlike($audit, $secret, 'the audit has no secret');
like($audit, qr/"secrets": \{"password": "present"\}|""secrets"": \{""password"": ""present""\}/, 'but which are there');
unlike(value('SELECT string_agg(s::text, $$ $$) FROM fraud.source_status s'), $secret, 'nor has the status');
my $log = slurp_file($node->logfile);
unlike($log =~ s/^.*(?:STATEMENT|statement):.*$//mgr, $secret, 'nor the log');

# ------------------------------------------------------------------ rate limits
my $begin = time;
add('slow', "$pages/limited?limit=40&every=0.4", '{"paging": {"kind": "cursor", "path": "$.next_cursor"}, "rate_limit": 120}');
reaches('slow', "state = 'ok' AND pages = 4 AND failures = 0", 'a rate limit is kept to');
cmp_ok(time - $begin, '>=', 1.5, 'which takes its time');
add('asked_less', "$pages/limited?limit=70&every=0.3", '{"paging": {"kind": "cursor", "path": "$.next_cursor"}}');
reaches('asked_less', "state = 'ok' AND pages = 2 AND failures >= 1 AND last_error LIKE 'HTTP status 429%'", '429 is heeded, and the walk goes on');

# ----------------------------------------------------- pause, drop, backpressure
add('paused', "$pages/cursor?limit=1", '{"paging": {"kind": "cursor", "path": "$.next_cursor", "max_pages": 1000}, "rate_limit": 600}');
reaches('paused', "pages >= 2 AND state = 'polling'", 'a walk of many pages');
value("SELECT fraud.pause_source('paused')");
my $kept = 0;
ok(wait_for(sub { my $now = status('paused', 'pages'); my $same = $now == $kept; $kept = $now; select(undef, undef, undef, 1) unless $same; return $same }, 'still'), 'stops between pages');
cmp_ok($kept, '<', 100, 'long before its end');
value("SELECT fraud.resume_source('paused')");
reaches('paused', "pages > $kept AND state = 'polling'", 'and goes on');
is(of_log('flat/cursor', "CASE WHEN l -> 'query' ->> 'limit' = '1' AND l -> 'query' ->> 'cursor' IS NULL THEN 'first' ELSE '' END") =~ s/ +/ /gr =~ s/^ | $//gr, 'first', 'where it was');
value("SELECT fraud.drop_source('paused')");
ok(wait_for(sub { return value("SELECT count(*) FROM fraud.source_positions WHERE name = 'paused'") eq '0' }, 'the place is gone'), 'a source that is dropped leaves no place');

done_testing();
