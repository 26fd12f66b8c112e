#include "core/payments/payment_writer.h"

#include "worker/notify/queue.h"

#include <algorithm>

#include "pg/server/boundary.h"
#include "pg/server/gucs.h"

namespace fraud::worker {

using namespace fraud::pg;

namespace {

constexpr int64_t kMinute = 60 * 1000000;
constexpr int64_t kLockedRetry = 1000000;

Statement move_in("SELECT fraud._move_in()", {});
// Whoever kills the worker does not use up a delivery's attempts.
// Where one was tried in the future, the clock was set back.
Statement hasten_channels(
    "WITH ahead AS MATERIALIZED ("
    "  SELECT s.name FROM fraud.channel_state s WHERE s.last_attempt_at > clock_timestamp() FOR UPDATE SKIP LOCKED"
    "), due AS MATERIALIZED ("
    "  SELECT n.notification_id FROM ahead a JOIN fraud.notifications n ON n.channel = a.name"
    "  WHERE n.state = 'pending' AND n.next_attempt_at > clock_timestamp() ORDER BY n.next_attempt_at LIMIT 10000 FOR UPDATE OF n SKIP LOCKED"
    "), hastened AS ("
    "  UPDATE fraud.notifications n SET next_attempt_at = clock_timestamp()"
    "  WHERE n.notification_id = ANY (ARRAY(SELECT d.notification_id FROM due d))"
    ")"
    " UPDATE fraud.channel_state s SET hold_until = NULL, last_attempt_at = clock_timestamp()"
    " WHERE s.name = ANY (ARRAY(SELECT a.name FROM ahead a))",
    {});
Statement take_back_sending(
    "WITH lost AS MATERIALIZED ("
    "  SELECT n.notification_id FROM fraud.notifications n WHERE n.state = 'sending' AND n.notification_id <> ALL ($1) FOR UPDATE SKIP LOCKED"
    "), attempts AS ("
    "  UPDATE fraud.notification_attempts a SET outcome = 'interrupted'"
    "  WHERE a.notification_id = ANY (ARRAY(SELECT l.notification_id FROM lost l)) AND a.outcome IS NULL"
    "   AND (a.notification_id, a.attempt) IN (SELECT b.notification_id, b.attempt FROM fraud.notification_attempts b"
    "   WHERE b.notification_id = ANY (ARRAY(SELECT l.notification_id FROM lost l)) AND b.outcome IS NULL FOR UPDATE SKIP LOCKED)"
    ")"
    " UPDATE fraud.notifications SET state = 'pending', next_attempt_at = '-infinity', attempts_forgiven = attempts_forgiven + 1"
    " WHERE notification_id = ANY (ARRAY(SELECT l.notification_id FROM lost l))",
    {INT8ARRAYOID});
Statement all_channels("SELECT c.name, c.kind = 'notify', c.paused OR st.name IS NULL, c.max_per_minute, c.changed_at,"
                       "  st.consecutive_failures, st.hold_until, st.urgent_mark, st.turn_mark"
                       " FROM fraud.channels c LEFT JOIN fraud.channel_state st ON st.name = c.name",
                       {});
Statement last_starts("SELECT a.started_at FROM fraud.notification_attempts a"
                      " WHERE a.channel = $1 AND a.started_at > $2 ORDER BY a.started_at DESC LIMIT $3",
                      {TEXTOID, TIMESTAMPTZOID, INT4OID});
// Urgent ones first; then what failed before and what has not been tried, in turns, so that neither
// keeps the other back.
Statement claim_due(
    "WITH found AS MATERIALIZED ("
    "  SELECT f.*, row_number() OVER (PARTITION BY f.queue ORDER BY f.due, f.id) AS place FROM ("
    "    (SELECT n.notification_id AS id, 0 AS queue, NULL::timestamptz AS due FROM fraud.notifications n"
    "     WHERE n.channel = $1 AND n.state = 'pending' AND n.next_attempt_at IS NULL AND n.urgent AND n.notification_id + 0 > $3"
    "     ORDER BY n.notification_id + 0 LIMIT $2)"
    "    UNION ALL"
    "    (SELECT n.notification_id, 1, n.next_attempt_at FROM fraud.notifications n"
    "     WHERE n.channel = $1 AND n.state = 'pending' AND n.next_attempt_at = '-infinity' LIMIT $2)"
    "    UNION ALL"
    "    (SELECT n.notification_id, 1, n.next_attempt_at FROM fraud.notifications n"
    "     WHERE n.channel = $1 AND n.state = 'pending' AND n.next_attempt_at > $5 AND n.next_attempt_at <= $6"
    "     ORDER BY n.channel, n.next_attempt_at LIMIT $2)"
    "    UNION ALL"
    "    (SELECT n.notification_id, 2, NULL FROM fraud.notifications n"
    "     WHERE n.channel = $1 AND n.state = 'pending' AND n.next_attempt_at IS NULL AND NOT n.urgent AND n.notification_id + 0 > $4"
    "     ORDER BY n.notification_id + 0 LIMIT $2)) f"
    "  ORDER BY f.queue > 0, place, f.queue LIMIT $2"
    "), locked AS MATERIALIZED ("
    "  SELECT n.notification_id FROM fraud.notifications n"
    "  WHERE n.notification_id = ANY (ARRAY(SELECT f.id FROM found f)) AND n.state = 'pending' AND EXISTS (SELECT FROM fraud.channels c WHERE c.name = $1)"
    "  FOR UPDATE OF n SKIP LOCKED"
    "), taken AS MATERIALIZED ("
    "  UPDATE fraud.notifications n SET state = 'sending', attempts = n.attempts + 1"
    "  WHERE n.notification_id = ANY (ARRAY(SELECT l.notification_id FROM locked l))"
    "  RETURNING n.notification_id, n.attempts, n.recipient, n.kind, n.digest, n.messages, n.idempotency_key, n.created_at"
    "), counted AS ("
    "  INSERT INTO fraud.notification_attempts (notification_id, attempt, channel)"
    "  SELECT t.notification_id, t.attempts, $1 FROM taken t"
    ")"
    " SELECT f.id, f.queue, f.due, t.notification_id IS NOT NULL, t.recipient, t.kind, t.digest, t.messages, t.idempotency_key,"
    "  extract(epoch FROM t.created_at)::float8, ch.kind, ch.target, ch.headers::text, ch.template::text, ch.secret,"
    "  ch.smtp_url, ch.smtp_user, ch.smtp_password, ch.sender, ch.starttls,"
    "  CASE WHEN ch.old_secret_until > clock_timestamp() THEN ch.old_secret END"
    " FROM found f LEFT JOIN taken t ON t.notification_id = f.id LEFT JOIN fraud.channels ch ON ch.name = $1"
    " ORDER BY f.queue > 0, f.place, f.queue",
    {TEXTOID, INT4OID, INT8OID, INT8OID, TIMESTAMPTZOID, TIMESTAMPTZOID});
Statement next_due("SELECT n.next_attempt_at FROM fraud.notifications n"
                   " WHERE n.channel = $1 AND n.state = 'pending' AND n.next_attempt_at > $2"
                   " ORDER BY n.channel, n.next_attempt_at LIMIT 1",
                   {TEXTOID, TIMESTAMPTZOID});
Statement read_messages("SELECT i.id, m.* FROM unnest($1) WITH ORDINALITY i(id, place) CROSS JOIN LATERAL ("
                        "  SELECT o.kind, (CASE o.kind WHEN 'alert' THEN fraud._told_alert(o.payload) ELSE o.payload END)::text, o.subject, o.body_text, o.body_html"
                        "  FROM fraud.notification_messages m"
                        "  CROSS JOIN LATERAL (SELECT * FROM fraud.outbox b WHERE b.outbox_id = m.outbox_id OFFSET 0) o"
                        "  WHERE m.notification_id = i.id ORDER BY m.notification_id, m.outbox_id LIMIT $2) m",
                        {INT8ARRAYOID, INT4OID});
Statement unclaim("WITH given AS MATERIALIZED ("
                  "  UPDATE fraud.notifications n SET state = 'pending', attempts = n.attempts - 1, next_attempt_at = '-infinity'"
                  "  WHERE n.notification_id IN (SELECT w.notification_id FROM fraud.notifications w"
                  "                              WHERE w.notification_id = ANY ($1) AND w.state = 'sending' FOR UPDATE SKIP LOCKED)"
                  "  RETURNING n.notification_id, n.attempts)"
                  " DELETE FROM fraud.notification_attempts a USING given g"
                  " WHERE a.notification_id = ANY ($1) AND a.notification_id = g.notification_id AND a.attempt = g.attempts + 1",
                  {INT8ARRAYOID});
// A failed delivery is tried again after one second, two, four, …, a fifth more or less. A receiver's
// answer may repeat what it was sent, or anything else.
Statement end_attempts(
    // What is told of each is looked up in the arrays: a join could be planned to read all of a table that was small then.
    "WITH deliveries AS MATERIALIZED ("
    "  SELECT n.notification_id AS id, n.state FROM fraud.notifications n WHERE n.notification_id = ANY ($1) FOR UPDATE SKIP LOCKED"
    "), attempts AS MATERIALIZED ("
    "  SELECT a.notification_id AS id FROM fraud.notification_attempts a WHERE a.notification_id = ANY ($1) AND a.outcome IS NULL FOR UPDATE SKIP LOCKED"
    "), locked AS MATERIALIZED ("
    "  SELECT d.id, d.state FROM deliveries d WHERE d.id = ANY (ARRAY(SELECT a.id FROM attempts a))"
    "), ended AS ("
    "  UPDATE fraud.notification_attempts a"
    "  SET outcome = ($2)[array_position($1, a.notification_id)], status = ($3)[array_position($1, a.notification_id)],"
    "   error = fraud._mask_card_numbers(($4)[array_position($1, a.notification_id)]),"
    "   duration = ($5)[array_position($1, a.notification_id)] * interval '1 microsecond'"
    "  WHERE a.notification_id = ANY (ARRAY(SELECT l.id FROM locked l)) AND a.outcome IS NULL"
    "), delivered AS MATERIALIZED ("
    "  UPDATE fraud.notifications n"
    "  SET state = 'delivered', last_status = ($3)[array_position($1, n.notification_id)], last_error = NULL, finished_at = clock_timestamp(), next_attempt_at = NULL"
    "  WHERE n.notification_id = ANY (ARRAY(SELECT l.id FROM locked l WHERE l.state = 'sending' AND ($2)[array_position($1, l.id)] = 'delivered'))"
    "  RETURNING n.notification_id AS id, n.state, n.next_attempt_at"
    "), failed AS MATERIALIZED ("
    "  UPDATE fraud.notifications n"
    "  SET (state, finished_at, next_attempt_at) = (SELECT CASE WHEN x.given_up THEN 'dead' ELSE 'pending' END,"
    "     CASE WHEN x.given_up THEN clock_timestamp() END,"
    "     CASE WHEN NOT x.given_up THEN clock_timestamp() + greatest("
    "       least(interval '1 second' * power(2, least(x.counted - 1, 20)), $9 * interval '1 second') * (0.8 + 0.4 * random()),"
    "       coalesce(($7)[x.place] * interval '1 second', interval '0')) END"
    "    FROM (SELECT y.*, ($6)[y.place] OR y.counted >= $8 AS given_up"
    "          FROM (SELECT n.attempts - n.attempts_forgiven AS counted, array_position($1, n.notification_id) AS place) y) x),"
    "   last_status = ($3)[array_position($1, n.notification_id)],"
    "   last_error = fraud._mask_card_numbers(($4)[array_position($1, n.notification_id)])"
    "  WHERE n.notification_id = ANY (ARRAY(SELECT l.id FROM locked l WHERE l.state = 'sending' AND ($2)[array_position($1, l.id)] <> 'delivered'))"
    "  RETURNING n.notification_id AS id, n.state, n.next_attempt_at"
    ")"
    // Somebody has it locked where there is one whose attempt is under way.
    " SELECT l.id IS NULL AND EXISTS (SELECT FROM fraud.notifications n WHERE n.notification_id = e.id)"
    "   AND EXISTS (SELECT FROM fraud.notification_attempts a WHERE a.notification_id = e.id AND a.outcome IS NULL),"
    "  coalesce(o.state, l.state), o.next_attempt_at"
    " FROM unnest($1) WITH ORDINALITY e(id, place) LEFT JOIN locked l ON l.id = e.id"
    " LEFT JOIN (SELECT * FROM delivered UNION ALL SELECT * FROM failed) o ON o.id = e.id ORDER BY e.place",
    {INT8ARRAYOID, TEXTARRAYOID, INT4ARRAYOID, TEXTARRAYOID, INT8ARRAYOID, BOOLARRAYOID, INT8ARRAYOID, INT4OID, INT4OID});
Statement note_states(
    "UPDATE fraud.channel_state st"
    " SET hold_until = t.hold_until, consecutive_failures = t.failures_now, delivered = st.delivered + t.delivered, failures = st.failures + t.failures,"
    "  last_attempt_at = t.attempt_at, last_success_at = coalesce(t.success_at, st.last_success_at), last_status = t.status,"
    "  last_error = coalesce(fraud._mask_card_numbers(t.error), st.last_error), last_error_at = coalesce(t.error_at, st.last_error_at),"
    "  urgent_mark = t.urgent_mark, turn_mark = t.turn_mark"
    " FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)"
    "  t(name, hold_until, failures_now, delivered, failures, attempt_at, success_at, status, error, error_at, urgent_mark, turn_mark)"
    " WHERE st.name = t.name AND st.name IN (SELECT s.name FROM fraud.channel_state s WHERE s.name = ANY ($1) FOR UPDATE SKIP LOCKED)"
    " RETURNING st.name",
    {TEXTARRAYOID, TIMESTAMPTZARRAYOID, INT4ARRAYOID, INT8ARRAYOID, INT8ARRAYOID, TIMESTAMPTZARRAYOID, TIMESTAMPTZARRAYOID, INT4ARRAYOID,
     TEXTARRAYOID, TIMESTAMPTZARRAYOID, INT8ARRAYOID, INT8ARRAYOID});
Statement waiting("SELECT count(*) FROM (("
                  "  SELECT FROM fraud.notifications n WHERE n.channel = $1 AND n.state = 'pending' AND n.next_attempt_at IS NULL"
                  "   AND NOT n.urgent AND n.notification_id + 0 > $2 ORDER BY n.notification_id + 0 LIMIT $4) UNION ALL ("
                  "  SELECT FROM fraud.notifications n WHERE n.channel = $1 AND n.state = 'pending' AND n.next_attempt_at IS NULL"
                  "   AND n.urgent AND n.notification_id + 0 > $3 ORDER BY n.notification_id + 0 LIMIT $4) LIMIT $4) w",
                  {TEXTOID, INT8OID, INT8OID, INT8OID});

SqlValue optional_time(TimestampTz time) { return time != 0 ? time_param(time) : null_param(); }

}  // namespace

void take_back(Spi& spi, const std::vector<int64_t>& but) {
  Column ids(INT8OID);
  for (int64_t id : but) ids.add(int8_param(id));
  spi.run(take_back_sending, {ids.array()});
}

void begin_channels(Spi& spi) { spi.run(move_in, {}); }

void hasten(Spi& spi) { spi.run(hasten_channels, {}); }

void read_channels(Spi& spi, std::map<std::string, Channel>& channels) {
  const uint64_t count = spi.run(all_channels, {});
  for (auto& [name, channel] : channels) channel.closed = true;
  for (uint64_t row = 0; row < count; ++row) {
    std::string name = *spi.text(row, 1);
    auto [found, is_new] = channels.try_emplace(name);
    Channel& channel = found->second;
    channel.by_notify = DatumGetBool(*spi.datum(row, 2));
    channel.closed = DatumGetBool(*spi.datum(row, 3));
    channel.max_per_minute = static_cast<int32_t>(spi.integer(row, 4).value_or(0));
    const TimestampTz changed_at = DatumGetTimestampTz(*spi.datum(row, 5));
    if (is_new) {
      channel.name = name;
      channel.failures = channel.broken = static_cast<int>(spi.integer(row, 6).value_or(0));
      if (std::optional<Datum> hold = spi.datum(row, 7)) channel.hold_until = DatumGetTimestampTz(*hold);
      channel.urgent_mark = spi.integer(row, 8).value_or(0);
      channel.turn_mark = spi.integer(row, 9).value_or(0);
    } else if (changed_at != channel.changed_at) {
      channel.begin_anew();
    }
    channel.changed_at = changed_at;
  }
  for (auto it = channels.begin(); it != channels.end();) {
    Channel& channel = it->second;
    if (channel.max_per_minute == 0) {
      channel.starts.clear();
      channel.knows_starts = false;
    } else if (!channel.knows_starts) {
      const uint64_t rows = spi.run(last_starts, {text_param(channel.name), time_param(GetCurrentTimestamp() - kMinute),
                                                  int4_param(channel.max_per_minute)});
      channel.starts.clear();
      for (uint64_t row = 0; row < rows; ++row) channel.starts.push_front(DatumGetTimestampTz(*spi.datum(row, 1)));
      channel.knows_starts = true;
    }
    ++it;
  }
}

std::vector<Delivery> claim(Spi& spi, Channel& channel, int most, TimestampTz now) {
  std::vector<Delivery> claimed;
  const uint64_t count = spi.run(claim_due, {text_param(channel.name), int4_param(most), int8_param(channel.urgent_mark),
                                             int8_param(channel.turn_mark), time_param(channel.due_mark), time_param(now)});
  auto text = [&](uint64_t row, int column) { return spi.text(row, column).value_or(""); };
  // What somebody has locked is behind the marks' way.
  bool locked = false, stops[3] = {false, false, false};
  for (uint64_t row = 0; row < count; ++row) {
    const int64_t id = *spi.integer(row, 1);
    const int64_t queue = *spi.integer(row, 2);
    if (!DatumGetBool(*spi.datum(row, 4))) {
      locked = stops[queue] = true;
      continue;
    }
    if (!stops[queue]) {
      if (queue == 0) channel.urgent_mark = id;
      if (queue == 2) channel.turn_mark = id;
      if (queue == 1) channel.due_mark = std::max(channel.due_mark, DatumGetTimestampTz(*spi.datum(row, 3)));
    }
    Delivery delivery;
    delivery.id = id;
    delivery.channel = channel.name;
    delivery.recipient = text(row, 5);
    delivery.notification.kind = text(row, 6);
    delivery.notification.digest = DatumGetBool(*spi.datum(row, 7));
    delivery.notification.total = *spi.integer(row, 8);
    delivery.notification.id = text(row, 9);
    delivery.notification.created_at = format_time(static_cast<int64_t>(*spi.number(row, 10) * 1000) * 1000);
    delivery.channel_kind = text(row, 11);
    delivery.target = text(row, 12);
    delivery.headers = text(row, 13);
    delivery.json_template = text(row, 14);
    delivery.secret = text(row, 15);
    delivery.smtp_url = text(row, 16);
    delivery.smtp_user = text(row, 17);
    delivery.smtp_password = text(row, 18);
    delivery.sender = text(row, 19);
    delivery.starttls = DatumGetBool(*spi.datum(row, 20));
    delivery.old_secret = text(row, 21);
    claimed.push_back(std::move(delivery));
    if (channel.max_per_minute > 0) channel.starts.push_back(now);
  }
  channel.look = count == static_cast<uint64_t>(most) && !locked;
  channel.due_at = locked ? now + kLockedRetry : 0;
  if (!channel.look) {
    if (spi.run(next_due, {text_param(channel.name), time_param(now)}) > 0) {
      const TimestampTz at = DatumGetTimestampTz(*spi.datum(0, 1));
      channel.due_at = channel.due_at != 0 ? std::min(channel.due_at, at) : at;
    }
  }
  if (channel.waiting > 0) channel.waiting = std::max<int64_t>(channel.waiting - static_cast<int64_t>(claimed.size()), 0);
  if (claimed.empty()) return claimed;
  Column ids(INT8OID);
  std::map<int64_t, Delivery*> by_id;
  for (Delivery& delivery : claimed) {
    ids.add(int8_param(delivery.id));
    by_id[delivery.id] = &delivery;
  }
  const uint64_t messages = spi.run(read_messages, {ids.array(), int4_param(guc_max_digest_messages)});
  for (uint64_t row = 0; row < messages; ++row) {
    by_id[*spi.integer(row, 1)]->notification.messages.push_back(
        {text(row, 2), text(row, 3), text(row, 4), text(row, 5), text(row, 6)});
  }
  for (Delivery& delivery : claimed) make_request(delivery);
  return claimed;
}

void give_back(Spi& spi, std::vector<int64_t> ids) {
  Column column(INT8OID);
  for (int64_t id : ids) column.add(int8_param(id));
  spi.run(unclaim, {column.array()});
}

std::vector<Noted> note(Spi& spi, const std::vector<Outcome>& outcomes) {
  Column ids(INT8OID), whats(TEXTOID), statuses(INT4OID), errors(TEXTOID), durations(INT8OID), permanent(BOOLOID), waits(INT8OID);
  for (const Outcome& outcome : outcomes) {
    ids.add(int8_param(outcome.id));
    whats.add(text_param(outcome.what));
    statuses.add(outcome.status != 0 ? int4_param(static_cast<int32_t>(outcome.status)) : null_param());
    errors.add(optional_text_param(outcome.error));
    durations.add(int8_param(outcome.duration_us));
    permanent.add(bool_param(outcome.permanent));
    waits.add(outcome.retry_after_s ? int8_param(*outcome.retry_after_s) : null_param());
  }
  const uint64_t count = spi.run(end_attempts, {ids.array(), whats.array(), statuses.array(), errors.array(), durations.array(),
                                                permanent.array(), waits.array(), int4_param(guc_notify_attempts),
                                                int4_param(guc_max_retry_delay_s)});
  std::vector<Noted> noted(count);
  for (uint64_t row = 0; row < count; ++row) {
    noted[row].kept = DatumGetBool(*spi.datum(row, 1));
    noted[row].state = spi.text(row, 2).value_or("");
    if (std::optional<Datum> at = spi.datum(row, 3)) noted[row].next_attempt_at = DatumGetTimestampTz(*at);
  }
  return noted;
}

void note_channels(Spi& spi, std::map<std::string, Channel>& channels) {
  Column names(TEXTOID), holds(TIMESTAMPTZOID), in_a_row(INT4OID), delivered(INT8OID), failures(INT8OID), attempts(TIMESTAMPTZOID),
      successes(TIMESTAMPTZOID), statuses(INT4OID), errors(TEXTOID), error_times(TIMESTAMPTZOID), urgent_marks(INT8OID), turn_marks(INT8OID);
  for (const auto& [name, channel] : channels) {
    if (!channel.tally) continue;
    const Tally& tally = *channel.tally;
    names.add(text_param(name));
    holds.add(optional_time(channel.hold_until));
    in_a_row.add(int4_param(channel.failures));
    delivered.add(int8_param(tally.delivered));
    failures.add(int8_param(tally.failures));
    attempts.add(time_param(tally.last_attempt_at));
    successes.add(optional_time(tally.last_success_at));
    statuses.add(tally.last_status != 0 ? int4_param(static_cast<int32_t>(tally.last_status)) : null_param());
    errors.add(optional_text_param(tally.last_error));
    error_times.add(optional_time(tally.last_error_at));
    urgent_marks.add(int8_param(channel.urgent_mark));
    turn_marks.add(int8_param(channel.turn_mark));
  }
  if (names.size() == 0) return;
  const uint64_t count = spi.run(note_states, {names.array(), holds.array(), in_a_row.array(), delivered.array(), failures.array(),
                                               attempts.array(), successes.array(), statuses.array(), errors.array(),
                                               error_times.array(), urgent_marks.array(), turn_marks.array()});
  for (uint64_t row = 0; row < count; ++row) channels[*spi.text(row, 1)].tally.reset();
}

int64_t count_waiting(Spi& spi, const Channel& channel, int64_t most) {
  spi.run(waiting, {text_param(channel.name), int8_param(channel.turn_mark), int8_param(channel.urgent_mark), int8_param(most)});
  return *spi.integer(0, 1);
}

}  // namespace fraud::worker
