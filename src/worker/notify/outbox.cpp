#include "worker/notify/outbox.h"

#include <algorithm>

#include "pg/server/boundary.h"

extern "C" {
#include "access/transam.h"
#include "access/xact.h"
#include "utils/snapmgr.h"
}

namespace fraud::worker {

using namespace fraud::pg;

namespace {

constexpr int64_t kSecond = 1000000;
constexpr int32_t kReadAtOnce = 5000;
// Most ids in memory, 8 bytes each: what is beyond is read when these are addressed.
constexpr size_t kMostIds = 1000000;
// A gap of more ids than this is looked for by a sweep.
constexpr int64_t kMostLate = 10000;
constexpr int64_t kLateInterval = kSecond;
constexpr int64_t kLateAtMost = 20000;  // how often they are asked for, however often somebody calls
// An id is given out a moment before its transaction has a number of its own.
constexpr int64_t kWithoutXid = 10 * kSecond;

Statement new_messages("SELECT o.outbox_id, fraud._is_urgent(o.kind, o.payload), o.kind = 'alert' AND o.notified_at IS NULL"
                       " FROM fraud.outbox o WHERE o.dispatched_at IS NULL AND o.outbox_id > $1"
                       " ORDER BY o.outbox_id LIMIT $2",
                       {INT8OID, INT4OID});
Statement late_messages("SELECT o.outbox_id, fraud._is_urgent(o.kind, o.payload), o.kind = 'alert' AND o.notified_at IS NULL"
                        " FROM fraud.outbox o WHERE o.outbox_id = ANY ($1) AND o.dispatched_at IS NULL ORDER BY o.outbox_id",
                        {INT8ARRAYOID});
Statement unheard_messages("SELECT o.outbox_id, fraud._is_urgent(o.kind, o.payload) FROM fraud.outbox o"
                           " WHERE o.kind = 'alert' AND o.notified_at IS NULL AND o.dispatched_at IS NOT NULL AND o.outbox_id > $1"
                           " ORDER BY o.outbox_id LIMIT $2",
                           {INT8OID, INT4OID});
Statement still_unheard("SELECT o.outbox_id FROM fraud.outbox o"
                        " WHERE o.outbox_id = ANY ($1) AND o.kind = 'alert' AND o.notified_at IS NULL ORDER BY o.outbox_id",
                        {INT8ARRAYOID});

TransactionId next_xid() {
  return protect([] { return XidFromFullTransactionId(ReadNextFullTransactionId()); });
}

TransactionId oldest_running() {
  return protect([] { return GetTransactionSnapshot()->xmin; });
}

bool is_true(Spi& spi, uint64_t row, int column) { return DatumGetBool(*spi.datum(row, column)); }

}  // namespace

std::vector<int64_t> Outbox::Ids::take(size_t most) {
  std::vector<int64_t> ids;
  for (std::deque<int64_t>* from : {&urgent, &others}) {
    while (ids.size() < most && !from->empty()) {
      ids.push_back(from->front());
      from->pop_front();
    }
  }
  return ids;
}

void Outbox::read(Spi& spi) {
  read_new(spi);
  if (caught_up_) {
    sweep(spi);
    read_late(spi);
  }
  due_ = 0;
  for (TimestampTz at : {late_.empty() ? 0 : late_at_ + kLateInterval, sweep_at_, tell_late_.empty() ? 0 : GetCurrentTimestamp() + kLateInterval}) {
    if (at != 0) due_ = due_ == 0 ? at : std::min(due_, at);
  }
}

void Outbox::read_new(Spi& spi) {
  unread_ = true;
  if (to_address_.size() < kMostIds) {
    const uint64_t count = spi.run(new_messages, {int8_param(position_), int4_param(kReadAtOnce)});
    const Late now{next_xid(), GetCurrentTimestamp(), false};
    for (uint64_t row = 0; row < count; ++row) {
      const int64_t id = *spi.integer(row, 1);
      const bool urgent = is_true(spi, row, 2);
      (urgent ? to_address_.urgent : to_address_.others).push_back(id);
      if (is_true(spi, row, 3)) (urgent ? to_tell_.urgent : to_tell_.others).push_back(id);
      if (caught_up_) {
        if (id - position_ + static_cast<int64_t>(late_.size()) > kMostLate) {
          base_ = id;
          settling_ = now;
          sweep_at_ = now.since + kSecond;
        } else {
          for (int64_t missing = position_ + 1; missing < id; ++missing) late_.emplace(missing, now);
        }
      }
      position_ = id;
    }
    unread_ = count == kReadAtOnce;
    if (!unread_ && !caught_up_) {
      caught_up_ = true;
      base_ = position_;
      settling_ = now;
      sweep_at_ = now.since + kSecond;
    }
  }
  // What a worker before has addressed, and listeners have not heard of.
  if (told_position_ >= 0 && to_tell_.size() < kMostIds) {
    const uint64_t count = spi.run(unheard_messages, {int8_param(told_position_), int4_param(kReadAtOnce)});
    for (uint64_t row = 0; row < count; ++row) {
      told_position_ = *spi.integer(row, 1);
      (is_true(spi, row, 2) ? to_tell_.urgent : to_tell_.others).push_back(told_position_);
    }
    if (count < kReadAtOnce) told_position_ = -1;
    else unread_ = true;
  }
}

// Looks through all that waits below, for what was committed after it had been read.
void Outbox::sweep(Spi& spi) {
  const TimestampTz now = GetCurrentTimestamp();
  if (sweep_at_ == 0 || now < sweep_at_) return;
  const bool settled = now - settling_.since > kWithoutXid && !TransactionIdPrecedes(oldest_running(), settling_.next_xid);
  std::set<int64_t> known;
  for (const std::deque<int64_t>* ids : {&to_address_.urgent, &to_address_.others}) known.insert(ids->begin(), ids->end());
  for (int64_t from = 0; from < base_;) {
    const uint64_t count = spi.run(new_messages, {int8_param(from), int4_param(kReadAtOnce)});
    for (uint64_t row = 0; row < count; ++row) {
      from = *spi.integer(row, 1);
      if (from > base_) break;
      if (!known.insert(from).second || late_.count(from) != 0) continue;
      const bool urgent = is_true(spi, row, 2);
      (urgent ? to_address_.urgent : to_address_.others).push_back(from);
      if (is_true(spi, row, 3)) (urgent ? to_tell_.urgent : to_tell_.others).push_back(from);
    }
    if (count < kReadAtOnce) break;
  }
  sweep_at_ = settled ? 0 : now + (now - settling_.since > kWithoutXid ? 10 : 1) * kSecond;
}

void Outbox::read_late(Spi& spi) {
  const TimestampTz now = GetCurrentTimestamp();
  if (late_.empty() || now < late_at_ + kLateAtMost) return;
  late_at_ = now;
  // Before the look: whoever had ended by then is seen by it.
  const TransactionId oldest = oldest_running();
  Column ids(INT8OID);
  for (const auto& [id, late] : late_) ids.add(int8_param(id));
  const uint64_t count = spi.run(late_messages, {ids.array()});
  for (uint64_t row = count; row-- > 0;) {  // to the front, so from the last one on
    const int64_t id = *spi.integer(row, 1);
    const bool urgent = is_true(spi, row, 2);
    (urgent ? to_address_.urgent : to_address_.others).push_front(id);
    if (is_true(spi, row, 3) && !late_[id].told) (urgent ? to_tell_.urgent : to_tell_.others).push_front(id);
    late_.erase(id);
  }
  for (auto it = late_.begin(); it != late_.end();) {
    const bool ended = now - it->second.since > kWithoutXid && !TransactionIdPrecedes(oldest, it->second.next_xid);
    it = ended ? late_.erase(it) : std::next(it);
  }
}

void Outbox::addressed(const std::vector<int64_t>& batch, const std::set<int64_t>& done) {
  const Late now{next_xid(), GetCurrentTimestamp(), true};
  bool after_last = !done.empty();
  for (auto id = batch.rbegin(); id != batch.rend(); ++id) {
    if (done.count(*id) != 0) {
      after_last = false;
    } else if (after_last) {
      to_address_.urgent.push_front(*id);  // before all others, as they were
    } else {
      late_[*id] = now;
    }
  }
}

std::vector<int64_t> Outbox::take_to_tell(Spi& spi, size_t most) {
  if (!tell_late_.empty()) {
    Column ids(INT8OID);
    for (int64_t id : tell_late_) ids.add(int8_param(id));
    const uint64_t count = spi.run(still_unheard, {ids.array()});
    tell_late_.clear();
    for (uint64_t row = count; row-- > 0;) to_tell_.urgent.push_front(*spi.integer(row, 1));
  }
  return to_tell_.take(most);
}

void Outbox::told(const std::vector<int64_t>& batch, const std::set<int64_t>& done) {
  for (int64_t id : batch) {
    if (done.count(id) == 0) tell_late_.insert(id);
  }
}

}  // namespace fraud::worker
