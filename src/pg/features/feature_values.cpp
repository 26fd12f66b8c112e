// fraud.features, fraud.materialize_features and fraud.verify_parity.

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <map>

#include "core/base/json_text.h"
#include "pg/features/feature_fault.h"
#include "pg/features/feature_stream.h"
#include "pg/features/online_features.h"
#include "pg/server/audit.h"
#include "pg/server/arguments.h"
#include "pg/server/boundary.h"
#include "pg/server/gucs.h"
#include "pg/server/owner_scope.h"
#include "pg/server/period.h"
#include "pg/server/spi.h"

extern "C" {
#include "access/heapam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "catalog/namespace.h"
#include "common/shortest_dec.h"
#include "nodes/makefuncs.h"
#include "utils/regproc.h"
#include "utils/rel.h"
#include "utils/varlena.h"
}

namespace fraud::pg {

namespace {

// Returns the shortest number that reads as this float32, also by way of a float8.
std::string number_text(float value) {
  char text[64];
  protect([&] { float_to_shortest_decimal_buf(value, text); });
  if (static_cast<float>(std::strtod(text, nullptr)) != value) std::snprintf(text, sizeof(text), "%.17g", static_cast<double>(value));
  return text;
}

bool same_bits(float a, float b) {
  return (std::isnan(a) && std::isnan(b)) || std::memcmp(&a, &b, sizeof(a)) == 0;
}

// ------------------------------------------------------------- materialize

// Makes the table with the caller's rights; returns it, open.
Relation create_table(std::string_view into, const FeatureStream& stream) {
  std::string name_text(into);
  const char* name = name_text.c_str();
  RangeVar* target = protect([&] { return makeRangeVarFromNameList(textToQualifiedNameList(cstring_to_text(name))); });
  const char* quoted = protect([&] {
    return target->schemaname != nullptr ? quote_qualified_identifier(target->schemaname, target->relname)
                                         : quote_identifier(target->relname);
  });
  Oid id_type = stream.id_type();
  const char* type = protect([&] { return format_type_be_qualified(id_type); });
  std::string sql = "CREATE TABLE " + std::string(quoted) + " (event_id " + type +
                    ", event_time pg_catalog.timestamptz, label pg_catalog.bool";
  for (const FeatureInfo& feature : stream.features()) {
    const char* column = feature.name.c_str();
    const char* quoted_column = protect([&] { return quote_identifier(column); });
    sql += ", " + std::string(quoted_column) + " pg_catalog.float4";
  }
  sql += ")";
  {
    Spi spi;
    spi.run(sql);
    protect(CommandCounterIncrement);
  }
  return protect([&] { return table_openrv(target, RowExclusiveLock); });
}

int64_t materialize(std::string_view set, std::string_view into, TimestampTz from, TimestampTz to) {
  FeatureStream stream(set, from, to);
  Relation table = create_table(into, stream);
  const size_t width = stream.features().size();
  const size_t columns = width + 3;
  constexpr size_t kSlots = 512;
  std::vector<TupleTableSlot*> slots(kSlots);
  TupleTableSlot** slot_array = slots.data();
  BulkInsertState state = protect([&] {
    if (RelationGetDescr(table)->natts != static_cast<int>(columns)) elog(ERROR, "the new table was altered");
    for (size_t i = 0; i < kSlots; ++i) slot_array[i] = table_slot_create(table, nullptr);
    return GetBulkInsertState();
  });
  MemoryContext batch_context = protect([] {
    return AllocSetContextCreate(CurrentMemoryContext, "fraud_detect materialize", ALLOCSET_DEFAULT_SIZES);
  });
  int64_t written = 0;
  FeatureBlock block;
  while (stream.next(&block)) {
    protect([&] {
      for (size_t begin = 0; begin < block.rows; begin += kSlots) {
        const size_t end = Min(begin + kSlots, block.rows);
        MemoryContext old = MemoryContextSwitchTo(batch_context);
        for (size_t row = begin; row < end; ++row) {
          TupleTableSlot* slot = slot_array[row - begin];
          ExecClearTuple(slot);
          slot->tts_values[0] = block.ids[row];
          slot->tts_values[1] = TimestampTzGetDatum(block.times[row]);
          slot->tts_values[2] = BoolGetDatum(block.labels[row] == 1.0F);
          slot->tts_isnull[0] = slot->tts_isnull[1] = false;
          slot->tts_isnull[2] = std::isnan(block.labels[row]);
          const float* vector = block.features + row * width;
          for (size_t i = 0; i < width; ++i) {
            slot->tts_values[3 + i] = Float4GetDatum(vector[i]);
            slot->tts_isnull[3 + i] = std::isnan(vector[i]);
          }
          ExecStoreVirtualTuple(slot);
        }
        table_multi_insert(table, slot_array, static_cast<int>(end - begin), GetCurrentCommandId(true),
                           TABLE_INSERT_SKIP_FSM, state);
        MemoryContextSwitchTo(old);
        MemoryContextReset(batch_context);
      }
    });
    written += static_cast<int64_t>(block.rows);
  }
  protect([&] {
    FreeBulkInsertState(state);
    table_finish_bulk_insert(table, TABLE_INSERT_SKIP_FSM);
    for (size_t i = 0; i < kSlots; ++i) ExecDropSingleTupleTableSlot(slot_array[i]);
    table_close(table, NoLock);
    CommandCounterIncrement();
  });
  return written;
}

// ------------------------------------------------------------------ parity

// An event of the sample, with what fraud.features says of it.
struct Sampled {
  std::string id;
  TimestampTz time;
  std::vector<float> online, untiled;
};

// Until the end of its life windows are read from the events alone.
class WithoutTiles {
 public:
  WithoutTiles() { guc_tiles = false; }
  ~WithoutTiles() { guc_tiles = before_; }
  WithoutTiles(const WithoutTiles&) = delete;
  WithoutTiles& operator=(const WithoutTiles&) = delete;

 private:
  bool before_ = guc_tiles;
};

// Samples events evenly in the order of a hash, and computes each on its own, from tiles and from the events alone.
std::vector<Sampled> sample_online(const std::shared_ptr<const FeatureSet>& set, int count) {
  const std::string id = "(" + set->id + ")::pg_catalog.text";
  const std::string query =
      "SELECT e, " + id + ", " + as_timestamptz(set->time, set->time_type) + set->from_clause() +
      " WHERE (" + set->id + ") IS NOT NULL AND pg_catalog.isfinite(" + set->time +
      ") ORDER BY pg_catalog.hashtextextended(" + id + ", 0), " + id + " LIMIT " + std::to_string(count);
  std::vector<Sampled> sample;
  std::vector<HeapTupleHeader> rows;
  Spi spi;
  {
    DefinerScope definer(*set);
    const uint64_t found = spi.run(query, true);
    for (uint64_t row = 0; row < found; ++row) {
      Sampled event;
      event.id = spi.text(row, 2).value_or("");
      event.time = DatumGetTimestampTz(*spi.datum(row, 3));
      sample.push_back(std::move(event));
      Datum value = *spi.datum(row, 1);
      rows.push_back(protect([&] { return DatumGetHeapTupleHeader(value); }));
    }
  }
  for (size_t i = 0; i < rows.size(); ++i) {
    protect([] { CHECK_FOR_INTERRUPTS(); });
    const EventSource event = one_event(*set, rows[i]);
    name_fault([&] { sample[i].online = online_features(set, event, true); }, [&] { return faulty_feature(*set, event, true); });
    const WithoutTiles untiled;
    sample[i].untiled = online_features(set, event, true);
  }
  return sample;
}

void verify_parity(FunctionCallInfo fcinfo, std::string_view name, int count) {
  std::shared_ptr<const FeatureSet> set = find_feature_set(name, true);
  check_may_read(*set);
  protect([&] { InitMaterializedSRF(fcinfo, 0); });
  auto* result = reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo);
  const std::vector<Sampled> sample = sample_online(set, count);
  // Events of different keys may have the same time and id.
  std::multimap<std::pair<TimestampTz, std::string>, const Sampled*> wanted;
  TimestampTz from = DT_NOEND, last = DT_NOBEGIN;
  for (const Sampled& event : sample) {
    wanted.emplace(std::make_pair(event.time, event.id), &event);
    from = std::min(from, event.time);
    last = std::max(last, event.time);
  }
  auto report = [&](const Sampled& event, size_t feature, float offline) {
    const char* id = event.id.c_str();
    const char* feature_name = set->features[feature].name.c_str();
    const float online = event.online[feature];
    protect([&] {
      Datum values[5] = {CStringGetTextDatum(id), TimestampTzGetDatum(event.time), CStringGetTextDatum(feature_name),
                         Float4GetDatum(offline), Float4GetDatum(online)};
      bool nulls[5] = {false, false, false, std::isnan(offline), std::isnan(online)};
      tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
    });
  };
  if (wanted.empty()) return;
  const size_t width = set->features.size();
  name_fault([&] {
    // As of the same snapshot.
    FeatureStream stream(set, from, last + 1, GetCurrentTransactionStartTimestamp(), nullptr, 16384, true);
    Oid id_type = stream.id_type(), output = InvalidOid;
    protect([&] {
      bool varlena;
      getTypeOutputInfo(id_type, &output, &varlena);
    });
    FeatureBlock block;
    while (stream.next(&block)) {
      for (size_t row = 0; row < block.rows; ++row) {
        // Only events at a time of the sample are worth their id as text.
        auto first = wanted.lower_bound({block.times[row], std::string()});
        if (first == wanted.end() || first->first.first != block.times[row]) continue;
        Datum value = block.ids[row];
        const std::string id = protect([&] { return OidOutputFunctionCall(output, value); });
        auto [begin, end] = wanted.equal_range({block.times[row], id});
        if (begin == end) continue;
        const float* offline = block.features + row * width;
        auto same_features = [&](const auto& candidate) {
          return std::equal(offline, offline + width, candidate.second->online.begin(), same_bits);
        };
        auto match = std::find_if(begin, end, same_features);
        if (match != end) {
          // Merged from tiles, and from the events alone.
          for (size_t i = 0; i < width; ++i) {
            if (!same_bits(match->second->untiled[i], match->second->online[i])) report(*match->second, i, match->second->untiled[i]);
          }
        } else {
          match = begin;
          for (size_t i = 0; i < width; ++i) {
            if (!same_bits(offline[i], match->second->online[i])) report(*match->second, i, offline[i]);
          }
        }
        wanted.erase(match);
      }
    }
  }, [&] { return faulty_event(*set, last + 1); });
  // An event that the pass did not meet has no offline value at all.
  for (const auto& [place, event] : wanted) {
    for (size_t i = 0; i < width; ++i) report(*event, i, std::numeric_limits<float>::quiet_NaN());
  }
}

}  // namespace

}  // namespace fraud::pg

using namespace fraud;
using namespace fraud::pg;

FRAUD_FUNCTION(features) {
  std::shared_ptr<const FeatureSet> set = find_feature_set(text_argument(fcinfo, 0), true);
  check_may_read(*set);
  HeapTupleHeader event = protect([&] { return PG_GETARG_HEAPTUPLEHEADER(1); });
  const EventSource events = one_event(*set, event);
  std::vector<float> vector;
  name_fault([&] { vector = online_features(set, events, true); }, [&] { return faulty_feature(*set, events, true); });
  // Names of features need no escapes.
  std::string json = "{";
  for (size_t i = 0; i < vector.size(); ++i) {
    json += (i > 0 ? ", \"" : "\"") + set->features[i].name +
            "\": " + (std::isnan(vector[i]) ? "null" : number_text(vector[i]));
  }
  json += "}";
  const char* text = json.c_str();
  return protect([&] { return DirectFunctionCall1(jsonb_in, CStringGetDatum(text)); });
}

FRAUD_FUNCTION(materialize_features) {
  refuse_when_restricted("materialize_features");
  const std::string set = text_argument(fcinfo, 0, "feature_set"), into = text_argument(fcinfo, 1, "into");
  need_argument(fcinfo, 2, "from");
  need_argument(fcinfo, 3, "to");
  const TimestampTz from = PG_GETARG_TIMESTAMPTZ(2), to = PG_GETARG_TIMESTAMPTZ(3);
  check_period(from, to);
  int64_t rows = 0;
  name_fault([&] { rows = materialize(set, into, from, to); },
             [&] {
               const std::shared_ptr<const FeatureSet> found = find_feature_set(set, false);
               check_may_read(*found);
               return faulty_event(*found, to);
             });
  note_act("export", "feature set", set, JsonObject().add("into", into).add("rows", rows).text());
  return Int64GetDatum(rows);
}

FRAUD_FUNCTION(verify_parity) {
  // No row is its good answer.
  need_argument(fcinfo, 0, "feature_set");
  need_argument(fcinfo, 1, "sample");
  const int32_t count = PG_GETARG_INT32(1);
  if (count < 1) throw SqlError(ERRCODE_INVALID_PARAMETER_VALUE, "sample must be at least 1");
  verify_parity(fcinfo, text_argument(fcinfo, 0), count);
  return (Datum)0;
}

FRAUD_FUNCTION(events_period) {
  const std::shared_ptr<const FeatureSet> set = find_feature_set(text_argument(fcinfo, 0), true);
  check_may_read(*set);
  const EventsPeriod period = events_period(*set, PG_GETARG_TIMESTAMPTZ(1), PG_GETARG_TIMESTAMPTZ(2));
  Datum values[3] = {TimestampTzGetDatum(period.first.value_or(0)), TimestampTzGetDatum(period.last.value_or(0)),
                     Int64GetDatum(period.within)};
  bool nulls[3] = {!period.first, !period.last, false};
  return protect([&] {
    TupleDesc row = nullptr;
    if (get_call_result_type(fcinfo, nullptr, &row) != TYPEFUNC_COMPOSITE) elog(ERROR, "unexpected result type");
    return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(row), values, nulls));
  });
}
