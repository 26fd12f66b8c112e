#include "pg/features/tile_folding.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "core/base/error.h"
#include "pg/features/tile_builder.h"
#include "pg/server/boundary.h"
#include "pg/server/owner_scope.h"
#include "pg/server/subtransaction.h"

extern "C" {
#include "access/xact.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
}

namespace fraud::pg {

namespace {

constexpr int64_t kEventsAtOnce = 5000;
constexpr int64_t kPieceUs = 30000;
constexpr int64_t kEventsATile = 24;         // of the finest, about
constexpr int64_t kMostEventsATile = 160;    // with more the key's tiles are made anew, finer
constexpr int kLeastShift = 16, kMostShift = 40;
constexpr int64_t kQuietLookUs = int64_t{3600} * 1000000;
constexpr int kRequestsAtOnce = 1000, kMarksAtOnce = 1000;

Statement try_lock("SELECT fraud._try_lock('tiles')", {});
Statement lock("SELECT fraud._lock('tiles')", {});
Statement read_sets(
    "SELECT s.set_id, s.feature_set, s.shape, f.feature_set IS NOT NULL, s.round, coalesce(s.holders_round, -1), s.settled_round,"
    " s.settled_to, s.marked_to"
    " FROM fraud.tile_sets s LEFT JOIN fraud.feature_sets f ON f.feature_set = s.feature_set"
    " WHERE EXISTS (SELECT FROM fraud.tiled_keys k WHERE k.set_id = s.set_id)"
    " OR EXISTS (SELECT FROM fraud.tile_requests r WHERE r.set_id = s.set_id) OR f.feature_set IS NULL ORDER BY s.set_id",
    {});
Statement drop_set("SELECT fraud._drop_tiles($1, true)", {INT4OID});
Statement forget_keys("SELECT fraud._drop_tiles($1, false)", {INT4OID});
Statement drop_requests("DELETE FROM fraud.tile_requests r WHERE r.set_id = $1", {INT4OID});
Statement adopt_months("SELECT fraud._adopt_months()", {});
Statement keep_requests("UPDATE fraud.tile_requests r SET shape = $3 WHERE r.set_id = $1 AND r.shape = $2", {INT4OID, BYTEAOID, BYTEAOID});
Statement set_shape("UPDATE fraud.tile_sets s SET shape = $2 WHERE s.set_id = $1", {INT4OID, BYTEAOID});
// Marks of all keys: what they say of the past alone takes tiles away from its end, others take all.
Statement clear_marks_of_all("SELECT fraud._clear_marks_of_all($1)", {INT4OID});
Statement take_requests(
    "WITH taken AS (SELECT r.* FROM fraud.tile_requests r WHERE r.set_id = $1 ORDER BY r.request_id LIMIT $2),"
    " gone AS (DELETE FROM fraud.tile_requests r USING taken s WHERE r.request_id = s.request_id),"
    " forgotten AS (DELETE FROM fraud.tiled_keys k USING taken t"
    "  WHERE t.events < 0 AND k.set_id = $1 AND k.key_no = t.key_no AND k.key = t.key RETURNING k.key_no, k.key),"
    " pages AS (DELETE FROM fraud.tiles p USING forgotten f WHERE p.set_id = $1 AND p.reader_no = f.key_no AND p.reader_key = f.key),"
    " marks AS (DELETE FROM fraud.tile_marks m USING forgotten f WHERE m.set_id = $1 AND m.key_no = f.key_no AND m.key = f.key),"
    " wanted AS (SELECT s.key_no, s.key, min(s.parts) AS parts, max(s.events) AS events, max(s.wanted_to) AS wanted_to FROM taken s"
    "  WHERE s.shape = $4 GROUP BY s.key_no, s.key),"
    " known AS (UPDATE fraud.tiled_keys k SET wanted = true, wanted_to = greatest(k.wanted_to, w.wanted_to),"
    "  wanted_since = CASE WHEN k.wanted THEN k.wanted_since ELSE now() END"
    "  FROM wanted w WHERE k.set_id = $1 AND k.key_no = w.key_no AND k.key = w.key RETURNING k.key_no, k.key),"
    " added AS (INSERT INTO fraud.tiled_keys (set_id, key_no, key, parts, round, wanted, wanted_to, events)"
    "  SELECT $1, w.key_no, w.key, w.parts, $3 + 1, true, w.wanted_to, w.events FROM wanted w"
    "  WHERE w.events > 0 AND (w.key_no, w.key) NOT IN (SELECT k.key_no, k.key FROM fraud.tiled_keys k WHERE k.set_id = $1)"
    "  ON CONFLICT DO NOTHING RETURNING 1)"
    " SELECT (SELECT count(*) FROM taken), (SELECT count(*) FROM added), (SELECT max(w.wanted_to) FROM wanted w)",
    {INT4OID, INT4OID, INT4OID, BYTEAOID});
Statement next_round("UPDATE fraud.tile_sets s SET round = s.round + 1, marked_to = greatest(s.marked_to, $2) WHERE s.set_id = $1",
                     {INT4OID, TIMESTAMPTZOID});
Statement note_holders(
    "UPDATE fraud.tile_sets s SET holders = fraud._tile_holders(), holders_round = s.round, holders_to = s.marked_to WHERE s.set_id = $1",
    {INT4OID});
Statement settle(
    "UPDATE fraud.tile_sets s SET holders = NULL, settled_round = s.holders_round, settled_to = s.holders_to"
    // Prepared transactions are named otherwise after a restart: any of these may be one of the holders.
    " WHERE s.set_id = $1 AND NOT EXISTS (SELECT FROM unnest(fraud._tile_holders()) h WHERE h = ANY (s.holders) OR h LIKE '-1/%')",
    {INT4OID});
Statement forget_quiet("SELECT fraud._forget_quiet_keys()", {});
#define FRAUD_KEY_COLUMNS "k.key_no::int, k.key, k.parts, k.shift::int, k.covered_from, k.covered_to, k.wanted_to, k.events"
Statement next_wanted("SELECT " FRAUD_KEY_COLUMNS
                      " FROM fraud.tiled_keys k WHERE k.set_id = $1 AND k.wanted AND k.round <= $2"
                      // Not those that wait for more to be settled: others are behind them.
                      " AND (k.covered_to IS NULL OR k.wanted_to <= $3 OR k.covered_to + power(2, k.shift) * interval '1 microsecond' <= $3)"
                      " ORDER BY k.built_at NULLS FIRST LIMIT 1",
                      {INT4OID, INT4OID, TIMESTAMPTZOID});
// To the end of the line.
Statement pass_over("UPDATE fraud.tiled_keys k SET built_at = clock_timestamp() WHERE k.set_id = $1 AND k.key_no = $2::int2 AND k.key = $3",
                    {INT4OID, INT4OID, BYTEAOID});
Statement next_marked("SELECT " FRAUD_KEY_COLUMNS
                      " FROM (SELECT m.key_no, m.key FROM fraud.tile_marks m WHERE m.set_id = $1 AND m.key_no >= 0 ORDER BY m.mark_id LIMIT 1) m"
                      " LEFT JOIN fraud.tiled_keys k ON k.set_id = $1 AND k.key_no = m.key_no AND k.key = m.key",
                      {INT4OID});
Statement drop_stray_marks(
    "DELETE FROM fraud.tile_marks m WHERE m.set_id = $1 AND m.key_no >= 0"
    " AND NOT EXISTS (SELECT FROM fraud.tiled_keys k WHERE k.set_id = $1 AND k.key_no = m.key_no AND k.key = m.key)",
    {INT4OID});
Statement read_marks(
    "SELECT m.mark_id, m.changed_from, m.changed_to FROM fraud.tile_marks m"
    " WHERE m.set_id = $1 AND m.key_no = $2::int2 AND m.key = $3 ORDER BY m.mark_id LIMIT $4",
    {INT4OID, INT4OID, BYTEAOID, INT4OID});
Statement delete_marks("DELETE FROM fraud.tile_marks m WHERE m.mark_id = ANY ($1)", {INT8ARRAYOID});
Statement cover_key(
    "UPDATE fraud.tiled_keys k SET shift = $4::int2, covered_from = $5, covered_to = $6, wanted = $7, events = $8, built_at = clock_timestamp(),"
    " reach = $9 * interval '1 microsecond'"
    " WHERE k.set_id = $1 AND k.key_no = $2::int2 AND k.key = $3",
    {INT4OID, INT4OID, BYTEAOID, INT4OID, TIMESTAMPTZOID, TIMESTAMPTZOID, BOOLOID, INT8OID, INT8OID});
Statement uncover_key("SELECT fraud._uncover_key($1, $2::int2, $3, $4)", {INT4OID, INT4OID, BYTEAOID, INT8OID});
Statement want_no_more("UPDATE fraud.tiled_keys k SET wanted = false WHERE k.set_id = $1 AND k.key_no = $2::int2 AND k.key = $3",
                       {INT4OID, INT4OID, BYTEAOID});
Statement drop_old_pages("SELECT fraud._drop_old_tiles($1, $2::int2, $3, $4)", {INT4OID, INT4OID, BYTEAOID, TIMESTAMPTZOID});

std::vector<std::string> texts_of(Datum value) {
  int count = 0;
  Datum* values = nullptr;
  protect([&] { deconstruct_array(DatumGetArrayTypeP(value), TEXTOID, -1, false, TYPALIGN_INT, &values, nullptr, &count); });
  std::vector<std::string> texts;
  for (int i = 0; i < count; ++i) texts.push_back(bytes_of(values[i]));
  return texts;
}

std::optional<TimestampTz> time_of(const Spi& spi, int column) {
  const std::optional<Datum> value = spi.datum(0, column);
  if (!value) return std::nullopt;
  return DatumGetTimestampTz(*value);
}

struct SetRow {
  int32_t id;
  std::string name, shape;
  bool exists;
  int32_t round, holders_round, settled_round;
  std::optional<TimestampTz> settled_to, marked_to;
};

struct KeyRow {
  TiledKeyRow key;
  bool covered = false;
  TimestampTz wanted_to = DT_NOBEGIN;
  int64_t events = 0;
};

std::optional<KeyRow> key_of(const Spi& spi, int32_t set) {
  if (spi.rows() == 0 || !spi.integer(0, 1)) return std::nullopt;
  KeyRow row;
  row.key.set = set;
  row.key.key = static_cast<size_t>(*spi.integer(0, 1));
  row.key.value = bytes_of(*spi.datum(0, 2));
  row.key.parts = texts_of(*spi.datum(0, 3));
  row.covered = spi.integer(0, 4) && time_of(spi, 5) && time_of(spi, 6);
  if (row.covered) row.key.cover = {static_cast<int>(*spi.integer(0, 4)), *time_of(spi, 5), *time_of(spi, 6)};
  row.wanted_to = time_of(spi, 7).value_or(DT_NOBEGIN);
  row.events = *spi.integer(0, 8);
  return row;
}

// Whether an error comes of a set's definition or its events, and would come again.
bool is_of_the_set(const PgError& error) noexcept {
  switch (ERRCODE_TO_CATEGORY(error.data()->sqlerrcode)) {
    case ERRCODE_OPERATOR_INTERVENTION:
    case ERRCODE_INSUFFICIENT_RESOURCES:
    case ERRCODE_TRANSACTION_ROLLBACK:
    case ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE:  // lock_timeout, among others
    case ERRCODE_SYSTEM_ERROR:
      return false;
    default:
      return error.data()->elevel == ERROR;
  }
}

// Runs body, which may fail for what a user's set does, without more harm than a warning: other sets and keys go on. Returns
// whether it did not.
template <typename Body>
bool attempt(const std::string& set, Body&& body) {
  auto warn = [&](const char* why) {
    const char* name = set.c_str();
    protect([&] {
      ereport(WARNING, (errcode(ERRCODE_WARNING), errmsg("could not make tiles of feature set \"%s\": %s", name, why),
                        errhint("Windows are read from the events instead, and it is tried again when tiles are asked for.")));
    });
  };
  try {
    in_subtransaction(body);
    return true;
  } catch (const PgError& error) {
    if (!is_of_the_set(error)) throw;
    warn(error.what());
    protect([&] { FreeErrorData(error.data()); });
  } catch (const SqlError& error) {
    warn(error.what());
  }
  return false;
}

// The snapshot of what is committed now, active until the end of its life.
class PieceSnapshot {
 public:
  PieceSnapshot() : exceptions_(std::uncaught_exceptions()) {
    protect([] {
      CommandCounterIncrement();
      PushActiveSnapshot(GetTransactionSnapshot());
    });
  }
  ~PieceSnapshot() noexcept {
    if (std::uncaught_exceptions() == exceptions_) PopActiveSnapshot();
  }
  PieceSnapshot(const PieceSnapshot&) = delete;
  PieceSnapshot& operator=(const PieceSnapshot&) = delete;
  Snapshot get() const { return GetActiveSnapshot(); }

 private:
  int exceptions_;
};

// The work on one set.
class SetFolder {
 public:
  SetFolder(Spi& spi, SetRow row) : spi_(spi), row_(std::move(row)) {}

  // Whether transactions must end before there is more to do.
  bool waits() const noexcept { return waits_; }

  // Returns whether something was done.
  bool step() {
    if (!row_.exists) {
      spi_.run(drop_set, {int4_param(row_.id)});
      return true;
    }
    if (!attempt(row_.name, [&] { source_.emplace(find_feature_set(row_.name, false)); })) {
      // Nobody can compute its windows now. Who can later will ask.
      spi_.run(forget_keys, {int4_param(row_.id)});
      spi_.run(drop_requests, {int4_param(row_.id)});
      return true;
    }
    std::string signature = tile_signature(source_->online());
    if (signature != row_.shape) {
      // All tiles go, so that months which were not as the extension made them may be what they are from now on.
      if (source_->online().set->builtin && spi_.run(adopt_months, {}) == 1 && DatumGetBool(*spi_.datum(0, 0))) {
        const Oid schema = fraud_schema();
        protect([&] {
          CacheInvalidateRelcacheByRelid(get_relname_relid("transactions", schema));  // everybody reads it again
          CommandCounterIncrement();
        });
        const std::string asked = signature;
        signature = tile_signature(source_->online());
        spi_.run(keep_requests, {int4_param(row_.id), bytea_param(asked), bytea_param(signature)});
      }
      // Keys are numbered otherwise; those that are read will be asked for again.
      spi_.run(forget_keys, {int4_param(row_.id)});
      spi_.run(set_shape, {int4_param(row_.id), bytea_param(signature)});
      return true;
    }
    if (signature.empty()) {
      spi_.run(forget_keys, {int4_param(row_.id)});
      return false;
    }
    spi_.run(clear_marks_of_all, {int4_param(row_.id)});
    if (DatumGetBool(*spi_.datum(0, 1))) return true;
    if (take()) return true;
    if (row_.holders_round < row_.round) {
      spi_.run(note_holders, {int4_param(row_.id)});
      return true;
    }
    if (row_.settled_round < row_.holders_round) {
      if (spi_.run(settle, {int4_param(row_.id)}) > 0) return true;
      waits_ = true;
    }
    // Of small keys several a piece.
    const TimestampTz start = GetCurrentTimestamp();
    bool done = false;
    for (bool more = true; more && GetCurrentTimestamp() - start < kPieceUs;) {
      const bool extended = extend();
      more = mend() || extended;
      done = done || more;
    }
    return done;
  }

 private:
  // Notes what is asked for. What is newly marked must be known to all who change events before it is made.
  bool take() {
    spi_.run(take_requests, {int4_param(row_.id), int4_param(kRequestsAtOnce), int4_param(row_.round), bytea_param(row_.shape)});
    if (*spi_.integer(0, 1) == 0) return false;
    const int64_t added = *spi_.integer(0, 2);
    const std::optional<TimestampTz> wanted_to = time_of(spi_, 3);
    if (added > 0 || (wanted_to && (!row_.marked_to || *wanted_to > *row_.marked_to))) {
      spi_.run(next_round, {int4_param(row_.id), wanted_to ? time_param(*wanted_to) : null_param()});
    }
    return true;
  }

  // Makes the tiles that a key lacks, up to what is settled.
  bool extend() {
    if (!row_.settled_to) return false;
    spi_.run(next_wanted, {int4_param(row_.id), int4_param(row_.settled_round), time_param(*row_.settled_to)});
    std::optional<KeyRow> found = key_of(spi_, row_.id);
    if (!found) return false;
    KeyRow& row = *found;
    if (!sound(row)) return true;
    const KeyPlan& plan = source_->online().engine.plan(row.key.key);
    const int64_t reach = plan.reach_us() - plan.least_delay_us();
    if (!row.covered) {
      const double finest = static_cast<double>(plan.reach_us()) * kEventsATile / static_cast<double>(std::max<int64_t>(row.events, 1));
      row.key.cover.shift = std::clamp(static_cast<int>(std::log2(std::max(finest, 1.0))), kLeastShift, kMostShift);
      const TimestampTz oldest = row.wanted_to < MIN_TIMESTAMP + reach ? MIN_TIMESTAMP : row.wanted_to - reach;
      row.key.cover.from = row.key.cover.to = aligned(oldest, row.key.cover.shift + kPageShift);
    }
    TileCover& cover = row.key.cover;
    const TimestampTz target = aligned(std::min(row.wanted_to, *row_.settled_to) + 1, cover.shift);
    if (target <= cover.to) {
      // Only once all that is wanted is settled there is nothing more to come.
      if (row.wanted_to > *row_.settled_to) {
        spi_.run(pass_over, {int4_param(row_.id), int4_param(static_cast<int32_t>(row.key.key)), bytea_param(row.key.value)});
        return false;
      }
      note_cover(row, false);
      return true;
    }
    const double per_event = static_cast<double>(plan.reach_us()) / static_cast<double>(std::max<int64_t>(row.events, 1));
    const double length = std::min(per_event * kEventsAtOnce, 1e18);
    const TimestampTz step = std::max(aligned(static_cast<TimestampTz>(length), cover.shift), TimestampTz{1} << cover.shift);
    const TimestampTz to = target - cover.to > step ? cover.to + step : target;
    const PieceSnapshot snapshot;
    const std::vector<int64_t> marks = marks_between(row.key, cover.to, to, snapshot.get());
    size_t events = 0;
    try {
      if (!attempt(row_.name, [&] { events = TileBuilder(*source_, spi_, row.key, snapshot.get()).build({{cover.to, to}}, to); })) {
        give_up(row);
        return true;
      }
    } catch (const Error&) {
      make_anew(row, row.events);
      return true;
    }
    const auto tiles = static_cast<double>((to - cover.to) >> cover.shift);
    if (events > 4096 && static_cast<double>(events) > tiles * kMostEventsATile && cover.shift > kLeastShift) {
      // It has become so much livelier that finer tiles are worth their making.
      const double grown = static_cast<double>(events) / static_cast<double>(to - cover.to) * static_cast<double>(plan.reach_us());
      make_anew(row, static_cast<int64_t>(grown));
      return true;
    }
    delete_these(marks);
    cover.to = to;
    const TimestampTz old = to - std::min<int64_t>(reach, to - MIN_TIMESTAMP);
    const TimestampTz page = TimestampTz{1} << (cover.shift + kPageShift);
    if (cover.from < old - reach / 4 - 2 * page) {
      cover.from = aligned(old, cover.shift + kPageShift);
      spi_.run(drop_old_pages, {int4_param(row_.id), int4_param(static_cast<int32_t>(row.key.key)), bytea_param(row.key.value), time_param(cover.from)});
    }
    note_cover(row, to < target || row.wanted_to > *row_.settled_to);
    return true;
  }

  // Makes those tiles anew whose events have changed.
  bool mend() {
    spi_.run(next_marked, {int4_param(row_.id)});
    if (spi_.rows() == 0) return false;
    std::optional<KeyRow> found = key_of(spi_, row_.id);
    if (!found) {
      spi_.run(drop_stray_marks, {int4_param(row_.id)});
      return true;
    }
    if (!sound(*found)) return true;
    const TileCover& cover = found->key.cover;
    const PieceSnapshot snapshot;
    spi_.run(read_marks,
             {int4_param(row_.id), int4_param(static_cast<int32_t>(found->key.key)), bytea_param(found->key.value), int4_param(kMarksAtOnce)}, true);
    std::vector<int64_t> marks;
    std::vector<TileMark> stretches;
    int64_t most = kEventsAtOnce / kEventsATile;  // tiles
    for (uint64_t row = 0; row < spi_.rows() && most > 0; ++row, --most) {
      marks.push_back(*spi_.integer(row, 1));
      const TimestampTz from = std::max(DatumGetTimestampTz(*spi_.datum(row, 2)), cover.from);
      const TimestampTz to = std::min(DatumGetTimestampTz(*spi_.datum(row, 3)), cover.to - 1);
      // What is not in tiles yet will be made with the change.
      if (!found->covered || from > to) continue;
      stretches.push_back({aligned(from, cover.shift), aligned(to, cover.shift) + (TimestampTz{1} << cover.shift)});
    }
    std::sort(stretches.begin(), stretches.end(), [](const TileMark& a, const TileMark& b) { return a.from < b.from; });
    std::vector<TileMark> apart;
    for (const TileMark& stretch : stretches) {
      if (!apart.empty() && stretch.from <= apart.back().to) {
        apart.back().to = std::max(apart.back().to, stretch.to);
      } else {
        apart.push_back(stretch);
      }
    }
    try {
      if (!apart.empty() &&
          !attempt(row_.name, [&] { (void)TileBuilder(*source_, spi_, found->key, snapshot.get()).build(apart, cover.to); })) {
        give_up(*found);
        return true;
      }
    } catch (const Error&) {
      make_anew(*found, found->events);
      return true;
    }
    delete_these(marks);
    return true;
  }

  // Whether the key is one of the set's; else it is dropped.
  bool sound(const KeyRow& row) {
    const size_t key = row.key.key;
    if (key < source_->shapes().readers.size() && source_->shapes().readers[key] &&
        row.key.parts.size() == source_->online().set->keys[key].parts.size()) {
      return true;
    }
    spi_.run(forget_keys, {int4_param(row_.id)});
    return false;
  }

  std::vector<int64_t> marks_between(const TiledKeyRow& key, TimestampTz from, TimestampTz to, Snapshot) {
    spi_.run(read_marks,
             {int4_param(row_.id), int4_param(static_cast<int32_t>(key.key)), bytea_param(key.value), int4_param(INT32_MAX)}, true);
    std::vector<int64_t> marks;
    for (uint64_t row = 0; row < spi_.rows(); ++row) {
      const TimestampTz changed_from = DatumGetTimestampTz(*spi_.datum(row, 2)), changed_to = DatumGetTimestampTz(*spi_.datum(row, 3));
      if (changed_from >= from && changed_to < to) marks.push_back(*spi_.integer(row, 1));
    }
    return marks;
  }

  void delete_these(const std::vector<int64_t>& marks) {
    if (marks.empty()) return;
    Column ids(INT8OID);
    for (int64_t mark : marks) ids.add(int8_param(mark));
    spi_.run(delete_marks, {ids.array()});
  }

  void note_cover(const KeyRow& row, bool wanted) {
    spi_.run(cover_key, {int4_param(row_.id), int4_param(static_cast<int32_t>(row.key.key)), bytea_param(row.key.value),
                         int4_param(row.key.cover.shift), time_param(row.key.cover.from), time_param(row.key.cover.to), bool_param(wanted),
                         int8_param(row.events), int8_param(source_->online().engine.plan(row.key.key).reach_us())});
  }

  void make_anew(const KeyRow& row, int64_t events) {
    spi_.run(uncover_key, {int4_param(row_.id), int4_param(static_cast<int32_t>(row.key.key)), bytea_param(row.key.value), int8_param(events)});
  }

  // Until tiles of the key are asked for again.
  void give_up(const KeyRow& row) {
    make_anew(row, row.events);
    spi_.run(want_no_more, {int4_param(row_.id), int4_param(static_cast<int32_t>(row.key.key)), bytea_param(row.key.value)});
  }

  Spi& spi_;
  SetRow row_;
  std::optional<TileSource> source_;
  bool waits_ = false;
};

}  // namespace

Folded fold_tiles(bool wait) {
  Spi spi;
  if (wait) {
    spi.run(lock, {});
  } else {
    spi.run(try_lock, {});
    if (!DatumGetBool(*spi.datum(0, 1))) return Folded::kWaits;
  }
  spi.run(read_sets, {});
  std::vector<SetRow> sets;
  for (uint64_t i = 0; i < spi.rows(); ++i) {
    SetRow row{};
    row.id = static_cast<int32_t>(*spi.integer(i, 1));
    row.name = *spi.text(i, 2);
    if (const std::optional<Datum> shape = spi.datum(i, 3)) row.shape = bytes_of(*shape);
    row.exists = DatumGetBool(*spi.datum(i, 4));
    row.round = static_cast<int32_t>(*spi.integer(i, 5));
    row.holders_round = static_cast<int32_t>(*spi.integer(i, 6));
    row.settled_round = static_cast<int32_t>(*spi.integer(i, 7));
    if (const std::optional<Datum> time = spi.datum(i, 8)) row.settled_to = DatumGetTimestampTz(*time);
    if (const std::optional<Datum> time = spi.datum(i, 9)) row.marked_to = DatumGetTimestampTz(*time);
    sets.push_back(std::move(row));
  }
  bool waits = false;
  for (SetRow& row : sets) {
    SetFolder folder(spi, std::move(row));
    if (folder.step()) return Folded::kMore;
    waits = waits || folder.waits();
  }
  // Seldom: it looks at all keys.
  static TimestampTz next_look = 0;
  const TimestampTz now = GetCurrentTimestamp();
  if (now >= next_look) {
    next_look = now + kQuietLookUs;
    spi.run(forget_quiet, {});
    if (DatumGetBool(*spi.datum(0, 1))) {
      next_look = now;
      return Folded::kMore;
    }
  }
  return waits ? Folded::kWaits : Folded::kAll;
}

}  // namespace fraud::pg
