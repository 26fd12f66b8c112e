#include "pg/features/tile_search.h"

#include "pg/server/boundary.h"

extern "C" {
#include "utils/lsyscache.h"
}

namespace fraud::pg {

namespace {

// The latest time of the set's events, but of those beyond all tiles.
std::optional<TimestampTz> latest_event(const FeatureSet& set) {
  DefinerScope definer(set);
  const std::string time = as_timestamptz(set.time, set.time_type);
  const std::string query = "SELECT pg_catalog.max(" + time + ")" + set.from_clause() + " WHERE pg_catalog.isfinite(" + time + ") AND " + time + " <= $1";
  const char* text = query.c_str();
  Oid types[] = {TIMESTAMPTZOID};
  Datum values[] = {TimestampTzGetDatum(latest_of_tiles())};
  return protect([&]() -> std::optional<TimestampTz> {
    if (SPI_execute_with_args(text, 1, types, values, nullptr, true, 1) < 0) elog(ERROR, "SPI_execute failed");
    bool null = true;
    const Datum value = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &null);
    if (null) return std::nullopt;
    return DatumGetTimestampTz(value);
  });
}

}  // namespace

std::vector<TileRequest> keys_with_many_events(TileSource& source, int32_t set_id, int64_t least) {
  using Kind = EventColumn::Kind;
  std::vector<TileRequest> requests;
  OnlineSet& online = source.online();
  const FeatureSet& set = *online.set;
  const std::optional<TimestampTz> latest = latest_event(set);
  if (!latest) return requests;
  const std::string signature = tile_signature(online);
  for (size_t key = 0; key < set.keys.size(); ++key) {
    if (!source.shapes().readers[key]) continue;
    const KeyPlan& plan = online.engine.plan(key);
    std::vector<EventColumn> columns{{Kind::kTag, 0, "pg_catalog.count(*)"}};
    std::string parts;
    for (const std::string& part : set.keys[key].parts) {
      columns.push_back({Kind::kKeyPart, 0, "(" + part + ")"});
      parts += (parts.empty() ? "(" : ", (") + part + ")";
    }
    const std::string time = "(" + set.time + ")";
    const TimestampTz from = *latest < MIN_TIMESTAMP + plan.reach_us() ? MIN_TIMESTAMP : *latest - plan.reach_us();
    KeptPlan query;
    EventReader reader(set, columns, 0, 0, 1);
    reader.keep_values();
    {
      DefinerScope definer(set);
      query.prepare(select_list(columns) + set.from_clause() + " WHERE " + time + " > " + set.in_time_type("$1") + " AND " + time + " <= " +
                        set.in_time_type("$2") + " GROUP BY " + parts + " HAVING pg_catalog.count(*) >= $3",
                    {TIMESTAMPTZOID, TIMESTAMPTZOID, INT8OID});
      const Datum values[] = {TimestampTzGetDatum(from), TimestampTzGetDatum(*latest), Int64GetDatum(least)};
      query.run(values, reader.receiver(), true);
      reader.check();
    }
    const DefinerScope definer(set);  // its settings, by which the folder reads the text of the parts
    const EventBatch& found = reader.batch();
    std::vector<std::string_view> values;
    for (size_t row = 0; row < found.rows; ++row) {
      found.keys_of(row, 1, &values);
      if (values[0].data() == nullptr) continue;
      TileRequest request{set_id, static_cast<int>(key), stored_key(values[0]), {}, found.tags[row], *latest - plan.least_delay_us(), signature, {}};
      for (size_t column = 1; column < columns.size(); ++column) {
        Oid type = reader.column_type(column);
        const Datum part = reader.value(row, column).value;
        request.parts.emplace_back(protect([&] {
          Oid output;
          bool varlena;
          getTypeOutputInfo(type, &output, &varlena);
          return OidOutputFunctionCall(output, part);
        }));
      }
      requests.push_back(std::move(request));
    }
  }
  return requests;
}

}  // namespace fraud::pg
