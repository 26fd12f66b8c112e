#include "pg/features/feature_fault.h"

#include "core/payments/mask.h"

#include <algorithm>
#include <cstring>
#include <optional>

#include "pg/server/kept_plan.h"
#include "pg/server/subtransaction.h"

extern "C" {
#include "executor/tuptable.h"
#include "tcop/dest.h"
}

namespace fraud::pg {

namespace {

// Returns the set with one of its features, or with none: nothing else is computed, not even
// what windows of others aggregate.
FeatureSet only(const FeatureSet& set, std::optional<size_t> feature) {
  FeatureSet one = set;
  one.name += " (one feature)";  // for the cache of plans: all such take turns in one place
  one.locals.clear();
  one.inputs.clear();
  one.keys.clear();
  one.windows.clear();
  one.window_places.clear();
  if (!feature) return one;
  for (const FeatureSet::Local& local : set.locals) {
    if (local.feature == *feature) one.locals.push_back(local);
  }
  for (size_t i = 0; i < set.windows.size(); ++i) {
    if (set.window_places[i] != *feature) continue;
    WindowFeature window = set.windows[i];
    one.keys.push_back(set.keys[window.key]);
    window.key = 0;
    for (int* input : {&window.input, &window.second_input, &window.current_input, &window.second_current_input}) {
      if (*input == kEveryEvent) continue;
      one.inputs.push_back(set.inputs[static_cast<size_t>(*input)]);
      *input = static_cast<int>(one.inputs.size()) - 1;
    }
    one.windows.push_back(window);
    one.window_places.push_back(*feature);
  }
  return one;
}

}  // namespace

namespace {

// Tells whether the set cannot be computed for the events, in a subtransaction.
bool fails(const FeatureSet& set, const EventSource& events, bool read_only) {
  auto one = std::make_shared<const FeatureSet>(set);
  try {
    in_subtransaction([&] { (void)online_features(one, events, read_only); });
  } catch (const PgError& error) {
    // A cancel is the statement's, not the feature's.
    if (ERRCODE_TO_CATEGORY(error.data()->sqlerrcode) == ERRCODE_OPERATOR_INTERVENTION) throw;
    protect([&] { FreeErrorData(error.data()); });
    return true;
  } catch (const SqlError&) {
    return true;
  }
  return false;
}

}  // namespace

std::string failing_feature(const FeatureSet& set, const EventSource& events, bool read_only) {
  // Where the event's own time or id is at fault, no feature is.
  if (fails(only(set, std::nullopt), events, read_only)) return {};
  for (size_t feature = 0; feature < set.features.size(); ++feature) {
    if (fails(only(set, feature), events, read_only)) return set.features[feature].name;
  }
  return {};
}

namespace {

// Counts the rows that a query has given before it failed.
struct Counter {
  DestReceiver base;
  uint64_t rows = 0;

  static bool take(TupleTableSlot* slot, DestReceiver* self) {
    slot_getallattrs(slot);
    ++reinterpret_cast<Counter*>(self)->rows;
    return true;
  }
};

// Runs a query of stored events, with the definer's rights, as one scan of the table: another
// query of the same events gives them in the same order.
void scan(const FeatureSet& set, const std::string& query, TimestampTz to, DestReceiver* receiver) {
  DefinerScope definer(set);
  protect([] {
    for (const char* setting : {"enable_indexscan", "enable_indexonlyscan", "enable_bitmapscan", "synchronize_seqscans", "jit",
                                "enable_parallel_append"}) {
      (void)set_config_option(setting, "off", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
    }
    (void)set_config_option("max_parallel_workers_per_gather", "0", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
  });
  KeptPlan plan;
  plan.prepare(query, {TIMESTAMPTZOID});
  const Datum value = TimestampTzGetDatum(to);
  plan.run(&value, receiver, true);
}

// Returns the id of the first stored event for which the expression fails; nothing where it
// does for none, an empty one where the id cannot be told.
std::optional<std::string> first_failing(const FeatureSet& set, const std::string& sql, TimestampTz to) {
  const std::string which = set.from_clause() + " WHERE (" + set.time + ") < " + set.in_time_type("$1");
  Counter counter;
  memset(&counter.base, 0, sizeof(counter.base));
  counter.base.receiveSlot = Counter::take;
  counter.base.rStartup = [](DestReceiver*, int, TupleDesc) {};
  counter.base.rShutdown = counter.base.rDestroy = [](DestReceiver*) {};
  counter.base.mydest = DestNone;
  try {
    in_subtransaction([&] {
      Spi spi;
      scan(set, "SELECT (" + sql + ")" + which, to, &counter.base);
    });
    return std::nullopt;
  } catch (const PgError& error) {
    if (ERRCODE_TO_CATEGORY(error.data()->sqlerrcode) == ERRCODE_OPERATOR_INTERVENTION) throw;
    protect([&] { FreeErrorData(error.data()); });
  }
  std::string id;
  try {
    in_subtransaction([&] {
      Spi spi;
      scan(set, "SELECT (" + set.id + ")::pg_catalog.text" + which + " OFFSET " + std::to_string(counter.rows) + " LIMIT 1", to, nullptr);
      if (SPI_processed == 1) id = spi.text(0, 1).value_or("");
    });
  } catch (const PgError& error) {
    if (ERRCODE_TO_CATEGORY(error.data()->sqlerrcode) == ERRCODE_OPERATOR_INTERVENTION) throw;
    protect([&] { FreeErrorData(error.data()); });
  }
  return id;
}

std::string of_event(const std::string& what, const std::string& id) {
  return (what.empty() ? "" : what + " of ") + "event \"" + mask_card_numbers(id) + "\"";
}

}  // namespace

std::string faulty_feature(const FeatureSet& set, const EventSource& event, bool read_only) {
  std::string id;
  try {
    in_subtransaction([&] {
      Spi spi;
      DefinerScope definer(set);
      KeptPlan plan;
      plan.prepare("SELECT (" + set.id + ")::pg_catalog.text FROM " + event.from, event.types);
      plan.run(&event.values[0].value, nullptr, read_only);
      if (SPI_processed == 1) id = spi.text(0, 1).value_or("");
    });
  } catch (const PgError& error) {
    if (ERRCODE_TO_CATEGORY(error.data()->sqlerrcode) == ERRCODE_OPERATOR_INTERVENTION) throw;
    protect([&] { FreeErrorData(error.data()); });
  }
  const std::string feature = failing_feature(set, event, read_only);
  return of_event(feature.empty() ? "" : "feature \"" + feature + "\"", id);
}

std::string faulty_event(const FeatureSet& set, TimestampTz to) {
  const std::pair<const char*, const std::string*> parts[] = {{"event_id", &set.id}, {"event_time", &set.time},
      {"label", &set.label_as_boolean}, {"label_known_at", &set.known_at}, {"label_changes", &set.label_changes}};
  for (const auto& [name, sql] : parts) {
    if (sql->empty()) continue;
    if (std::optional<std::string> id = first_failing(set, *sql, to)) return of_event(name, *id);
  }
  auto named = [&](size_t feature, const std::string& id) {
    return of_event("feature \"" + set.features[feature].name + "\"", id);
  };
  for (const FeatureSet::Local& local : set.locals) {
    if (std::optional<std::string> id = first_failing(set, local.sql, to)) return named(local.feature, *id);
  }
  for (size_t i = 0; i < set.inputs.size(); ++i) {
    std::optional<std::string> id = first_failing(set, set.inputs[i].sql, to);
    if (!id) continue;
    const int input = static_cast<int>(i);
    for (size_t w = 0; w < set.windows.size(); ++w) {
      const WindowFeature& window = set.windows[w];
      for (int used : {window.input, window.second_input, window.current_input, window.second_current_input}) {
        if (used == input) return named(set.window_places[w], *id);
      }
    }
  }
  for (const FeatureSet::Key& key : set.keys) {
    for (const std::string& part : key.parts) {
      if (std::optional<std::string> id = first_failing(set, part, to)) return of_event("key " + part, *id);
    }
  }
  return {};
}

void throw_named(int sqlstate, const std::string& message, const std::string& detail, const std::string& hint,
                 const std::string& named) {
  throw SqlError(sqlstate, (named.empty() ? "" : "could not compute " + named + ": ") + message, detail, hint);
}

}  // namespace fraud::pg
