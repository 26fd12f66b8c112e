#include "pg/features/tile_source.h"

#include "pg/server/boundary.h"
#include "pg/server/owner_scope.h"
#include "pg/server/plan_settings.h"
#include "pg/server/spi.h"

extern "C" {
#include "utils/lsyscache.h"
}

namespace fraud::pg {

namespace {

Statement event_columns("SELECT fraud._payment_event_columns()", {});

// The set's events, of which there are none: for their types.
EventSource no_events(const FeatureSet& set) {
  EventSource source{"(SELECT *" + set.from_clause() + " LIMIT 0) e", {}, {}, {}, {}, {}};
  if (!set.builtin) return source;
  Spi spi;
  spi.run(event_columns, {});
  const Oid schema = fraud_schema();
  source.stored = {protect([&] { return get_relname_relid("transactions", schema); }), *spi.text(0, 1), nullptr};
  return source;
}

}  // namespace

TileSource::TileSource(std::shared_ptr<const FeatureSet> set) {
  const EventSource events = no_events(*set);
  online_ = online_set(set, events);
  DefinerScope definer(*set);
  plan_index_scans_alone();
  if (!online_->event.prepared()) prepare_event(*online_, events);
  types_ = std::make_unique<EventReader>(*set, online_->event_columns, set->locals.size(), set->inputs.size(), set->keys.size());
  online_->event.run(nullptr, types_->receiver(), true);
  types_->check();
}

std::unique_ptr<EventReader> TileSource::reader(size_t key) {
  if (online_->histories[key].columns.empty()) prepare_columns(*online_, key);
  const FeatureSet& set = *online_->set;
  return std::make_unique<EventReader>(set, online_->histories[key].columns, 0, set.inputs.size(),
                                       online_->readings[key].dependents.size());
}

std::vector<Datum> TileSource::values(size_t key, const std::vector<std::string>& parts) const {
  std::vector<Datum> values;
  size_t next = 0;
  for_each_part(*online_, key, [&](size_t column) {
    if (next == parts.size()) throw InternalError("a tiled key has too few parts");
    std::string text = parts[next++];
    char* input_text = text.data();
    Oid type = types_->column_type(column);
    values.push_back(protect([&] {
      Oid input, parameter;
      getTypeInputInfo(type, &input, &parameter);
      return OidInputFunctionCall(input, input_text, parameter, -1);
    }));
  });
  return values;
}

// An id that nothing is compared with: all times are before the one that it stands beside.
Datum TileSource::any_id() const {
  Oid type = types_->column_type(kIdColumn);
  return protect([&] {
    int16 length;
    bool by_value;
    get_typlenbyval(type, &length, &by_value);
    if (by_value) return static_cast<Datum>(0);
    if (length == -1) return PointerGetDatum(cstring_to_text(""));
    return PointerGetDatum(palloc0(length == -2 ? 1 : static_cast<Size>(length)));
  });
}

void TileSource::read(size_t key, const std::vector<std::string>& parts, TimestampTz from, TimestampTz until, Snapshot snapshot,
                      EventReader& into) {
  DefinerScope definer(*online_->set);
  plan_index_scans_alone();
  History& history = online_->histories[key];
  if (history.stored != nullptr) history.stored->begin();
  prepare_stored(*online_, key);
  const std::vector<Datum> parts_of = values(key, parts);
  into.keep_ids_from(std::numeric_limits<int64_t>::max());
  EventRange range;
  range.key = parts_of[0];
  range.after = from - 1;
  range.until = until - 1;
  range.before = DT_NOEND;
  range.before_id = any_id();
  if (history.stored == nullptr || !history.stored->read(range, into.receiver(), snapshot)) {
    if (!history.one.prepared()) prepare_one(*online_, key, *types_);
    std::vector<Datum> parameters{TimestampTzGetDatum(range.after), TimestampTzGetDatum(range.until), TimestampTzGetDatum(DT_NOEND),
                                  range.before_id};
    parameters.insert(parameters.end(), parts_of.begin(), parts_of.end());
    history.one.run(parameters.data(), into.receiver(), true);
  }
  into.check();
}

}  // namespace fraud::pg
