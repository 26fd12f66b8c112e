#include "pg/features/feature_set.h"

#include <exception>
#include <map>
#include <tuple>

#include "pg/features/feature_expression.h"
#include "pg/server/boundary.h"
#include "pg/server/index_lookup.h"
#include "pg/server/kept_plan.h"
#include "pg/server/owner_scope.h"
#include "pg/server/pinned_settings.h"
#include "pg/server/spi.h"

extern "C" {
#include "access/relation.h"
#include "catalog/pg_class.h"
#include "utils/rel.h"
}

namespace fraud::pg {

FeatureSet::FeatureSet() = default;
FeatureSet::FeatureSet(const FeatureSet&) = default;
FeatureSet::FeatureSet(FeatureSet&&) noexcept = default;
FeatureSet& FeatureSet::operator=(const FeatureSet&) = default;
FeatureSet& FeatureSet::operator=(FeatureSet&&) noexcept = default;
FeatureSet::~FeatureSet() = default;

namespace {

// Returns 0 for a relation that is gone.
uint64_t row_identity_of(Oid relation) {
  return protect([&] {
    Oid type = get_rel_type_id(relation);
    return OidIsValid(type) ? assign_record_type_identifier(type, -1) : uint64{0};
  });
}

}  // namespace

void read_identity(Spi& spi, std::string_view name, FeatureSet* set) {
  set->name = std::string(name);
  set->revision = *spi.text(0, 1);
  set->relation = static_cast<Oid>(*spi.integer(0, 2));
  set->definer = spi.text(0, 3).value_or("");
  set->id = *spi.text(0, 4);
  set->time = *spi.text(0, 5);
  set->row_identity = row_identity_of(set->relation);
}

namespace {

Statement load_set(
    "SELECT s.revision::text, s.events::oid::bigint, s.defined_by::text, s.event_id, s.event_time,"
    "  s.label, s.label_known_at, s.label_delay, s.label_changes, s.builtin::int"
    " FROM fraud.feature_sets s WHERE s.feature_set = $1",
    {TEXTOID});
Statement load_features(
    "SELECT d.feature, d.kind, d.expression, d.aggregate, d.value[1], d.value[2], d.filter, d.\"window\","
    "  d.delay, d.include_current::int, d.reason, d.key, d.position"
    " FROM fraud.feature_definitions d WHERE d.feature_set = $1 ORDER BY d.position",
    {TEXTOID});
Statement load_categories(
    "SELECT c.feature, c.category, c.code FROM fraud.feature_categories c WHERE c.feature_set = $1"
    " ORDER BY c.feature, c.code",
    {TEXTOID});

std::vector<std::string> text_array(const Spi& spi, uint64_t row, int column) {
  std::vector<std::string> texts;
  std::optional<Datum> value = spi.datum(row, column);
  if (!value) return texts;
  Datum* elements = nullptr;
  int count = 0;
  Datum array = *value;
  protect([&] {
    deconstruct_array(DatumGetArrayTypeP(array), TEXTOID, -1, false, TYPALIGN_INT, &elements,
                      nullptr, &count);
  });
  for (int i = 0; i < count; ++i) {
    Datum element = elements[i];
    const char* item = protect([&] { return TextDatumGetCString(element); });
    texts.emplace_back(item);
  }
  return texts;
}

int64_t interval_at(const Spi& spi, uint64_t row, int column, const char* what) {
  std::optional<Datum> value = spi.datum(row, column);
  return value ? interval_microseconds(*DatumGetIntervalP(*value), what) : 0;
}

// Builds the set's inputs, keys and windows from its rows, each only once.
class Builder {
 public:
  explicit Builder(FeatureSet& set) : set_(set) {}

  std::string number(const std::string& expression) {
    auto known = numbers_.find(expression);
    if (known != numbers_.end()) return known->second;
    std::string sql = as_number(parse_stored_expression(set_, "expression of a feature", expression));
    return numbers_.emplace(expression, std::move(sql)).first->second;
  }

  int input(const std::string& sql, bool hashed) {
    for (size_t i = 0; i < set_.inputs.size(); ++i) {
      if (set_.inputs[i].sql == sql && set_.inputs[i].hashed == hashed) return static_cast<int>(i);
    }
    set_.inputs.push_back({sql, hashed});
    return static_cast<int>(set_.inputs.size()) - 1;
  }

  size_t key(std::vector<std::string> parts) {
    for (size_t i = 0; i < set_.keys.size(); ++i) {
      if (set_.keys[i].parts == parts) return i;
    }
    set_.keys.push_back({std::move(parts)});
    return set_.keys.size() - 1;
  }

  void add_local(const std::string& expression, bool coded) {
    FeatureSet::Local local;
    local.sql = coded ? "(" + expression + ")::pg_catalog.text" : number(expression);
    local.coded = coded;
    local.feature = set_.features.size() - 1;
    set_.locals.push_back(std::move(local));
  }

  void add_window(WindowFeature window, const std::optional<std::string>& value,
                  const std::optional<std::string>& second,
                  const std::optional<std::string>& filter) {
    auto filtered = [&](const std::string& sql) {
      return filter ? "CASE WHEN (" + *filter + ") THEN " + sql + " END" : sql;
    };
    const bool hashed = window.aggregate == Aggregate::kDistinct;
    const bool compares =
        window.aggregate == Aggregate::kRatio || window.aggregate == Aggregate::kZscore ||
        window.aggregate == Aggregate::kDistance || window.aggregate == Aggregate::kSpeed;
    if (value) {
      const std::string sql = hashed ? "(" + *value + ")" : value_sql(window.aggregate, *value);
      window.input = input(filtered(sql), hashed);
      if (compares) window.current_input = input(sql, false);
    } else if (filter) {
      window.input = input(filtered("'1'::pg_catalog.float8"), false);
    }
    if (second) {
      window.second_input = input(filtered(number(*second)), false);
      window.second_current_input = input(number(*second), false);
    }
    set_.windows.push_back(window);
    set_.window_places.push_back(set_.features.size() - 1);
  }

 private:
  // count and seconds_since_last only ask whether there is a value.
  std::string value_sql(Aggregate aggregate, const std::string& value) {
    if (aggregate == Aggregate::kCount || aggregate == Aggregate::kSecondsSinceLast) {
      return "CASE WHEN (" + value + ") IS NOT NULL THEN '1'::pg_catalog.float8 END";
    }
    return number(value);
  }

  FeatureSet& set_;
  std::map<std::string, std::string> numbers_;
};

const std::pair<const char*, Aggregate> kAggregates[] = {
    {"count", Aggregate::kCount},       {"sum", Aggregate::kSum},
    {"avg", Aggregate::kAvg},           {"min", Aggregate::kMin},
    {"max", Aggregate::kMax},           {"stddev", Aggregate::kStddev},
    {"distinct", Aggregate::kDistinct}, {"last", Aggregate::kLast},
    {"seconds_since_last", Aggregate::kSecondsSinceLast},
    {"rate", Aggregate::kRate},         {"ratio", Aggregate::kRatio},
    {"zscore", Aggregate::kZscore},     {"distance", Aggregate::kDistance},
    {"speed", Aggregate::kSpeed}};

[[noreturn]] void throw_unknown(std::string_view name) {
  throw SqlError(ERRCODE_UNDEFINED_OBJECT,
                 "feature set \"" + std::string(name) + "\" does not exist", {},
                 "fraud.feature_sets lists the feature sets; fraud.create_feature_set makes one.");
}

// Tells whether the table has columns that are generated when they are read: a name that an expression has may have become one's.
bool has_virtual_columns(Oid relation) {
  return protect([&] {
    Relation table = try_relation_open(relation, AccessShareLock);
    bool found = false;
    for (int i = 0; table != nullptr && !found && i < RelationGetNumberOfAttributes(table); ++i) found = is_virtual(*TupleDescAttr(RelationGetDescr(table), i));
    if (table != nullptr) relation_close(table, NoLock);
    return found;
  });
}

std::shared_ptr<const FeatureSet> load(Spi& spi, std::string_view name, bool read_only) {
  auto set = std::make_shared<FeatureSet>();
  if (spi.run(load_set, {text_param(name)}, read_only) == 0) throw_unknown(name);
  read_identity(spi, name, set.get());
  set->label = spi.text(0, 6).value_or("");
  set->known_at = spi.text(0, 7).value_or("");
  set->label_delay_us = interval_at(spi, 0, 8, "label_delay");
  set->label_changes = spi.text(0, 9).value_or("");
  set->builtin = *spi.integer(0, 10) != 0;
  Oid relation = set->relation;
  if (set->row_identity == 0) {
    throw SqlError(ERRCODE_UNDEFINED_TABLE,
                   "the events of feature set \"" + set->name + "\" are gone", {},
                   "Drop the set with fraud.drop_feature_set.");
  }
  set->time_type = parse_stored_expression(*set, "event_time", set->time).type;
  if (!set->label.empty()) {
    const FeatureExpression label = parse_stored_expression(*set, "label", set->label);
    set->label_as_boolean = label.type == BOOLOID ? "(" + label.text + ")"
                                                  : "(" + as_number(label) + " <> 0)";
  }
  if (!set->known_at.empty()) {
    set->known_at_type = parse_stored_expression(*set, "label_known_at", set->known_at).type;
  }

  Builder builder(*set);
  const bool with_virtual = has_virtual_columns(relation);
  if (with_virtual) (void)parse_stored_expression(*set, "event_id", set->id);
  const uint64_t count = spi.run(load_features, {text_param(name)}, read_only);
  for (uint64_t row = 0; row < count; ++row) {
    if (with_virtual) {
      std::vector<std::string> expressions = text_array(spi, row, 12);
      for (int column : {3, 5, 6, 7}) {
        if (std::optional<std::string> expression = spi.text(row, column)) expressions.push_back(*std::move(expression));
      }
      for (const std::string& expression : expressions) (void)parse_stored_expression(*set, "expression of a feature", expression);
    }
    FeatureInfo info;
    info.name = *spi.text(row, 1);
    const std::string kind = *spi.text(row, 2);
    info.categorical = kind == "category";
    info.reason = spi.text(row, 11).value_or("");
    set->features.push_back(std::move(info));
    set->places.push_back(static_cast<size_t>(*spi.integer(row, 13)) - 1);
    if (std::optional<std::string> expression = spi.text(row, 3)) {
      builder.add_local(*expression, kind != "number");
      continue;
    }
    WindowFeature window;
    window.aggregate = *aggregate_named(*spi.text(row, 4));
    window.width_us = interval_at(spi, row, 8, "window");
    window.delay_us = interval_at(spi, row, 9, "delay");
    window.include_current = spi.integer(row, 10).value_or(0) != 0;
    window.key = builder.key(text_array(spi, row, 12));
    builder.add_window(window, spi.text(row, 5), spi.text(row, 6), spi.text(row, 7));
  }
  const uint64_t categories = spi.run(load_categories, {text_param(name)}, read_only);
  for (uint64_t row = 0; row < categories; ++row) {
    const std::string feature = *spi.text(row, 1);
    for (FeatureSet::Local& local : set->locals) {
      FeatureInfo& info = set->features[local.feature];
      if (info.name != feature) continue;
      const int64_t code = *spi.integer(row, 3);
      local.codes.emplace(*spi.text(row, 2), static_cast<float>(code));
      if (info.categories.size() <= static_cast<size_t>(code)) {
        info.categories.resize(static_cast<size_t>(code) + 1);
      }
      info.categories[static_cast<size_t>(code)] = *spi.text(row, 2);
    }
  }
  return set;
}

std::map<std::string, std::shared_ptr<const FeatureSet>, std::less<>> cache;

// Returns the set's revision, without a plan; throws where there is no such set.
std::string revision_of(std::string_view name, bool read_only) {
  const Oid schema = fraud_schema();
  pg_uuid_t revision;
  const bool found = protect([&] {
    if (!read_only) CommandCounterIncrement();
    Snapshot snapshot = RegisterSnapshot(read_only ? GetActiveSnapshot() : GetTransactionSnapshot());
    IndexLookup lookup;
    const bool there = open_lookup(&lookup, schema, "feature_sets", "feature_sets_pkey", text_datum(name), InvalidOid, (Datum)0, snapshot);
    if (there) revision = *DatumGetUUIDP(lookup_column(lookup, "revision"));
    close_lookup(&lookup);
    UnregisterSnapshot(snapshot);
    return there;
  });
  if (!found) throw_unknown(name);
  const char* text = protect([&] { return DatumGetCString(DirectFunctionCall1(uuid_out, UUIDPGetDatum(&revision))); });
  return text;
}

// Returns the role whose rights the set's expressions have.
Oid definer_of(const FeatureSet& set) {
  if (set.definer.empty()) return fraud_owner();
  const char* name = set.definer.c_str();
  Oid role = protect([&] { return get_role_oid(name, true); });
  if (!OidIsValid(role)) {
    throw SqlError(ERRCODE_UNDEFINED_OBJECT, "role \"" + set.definer +
                                                 "\", which defined feature set \"" + set.name +
                                                 "\", does not exist",
                   {}, "Create the role, or define the set anew.");
  }
  return role;
}

}  // namespace

std::optional<Aggregate> aggregate_named(std::string_view name) {
  for (const auto& [known, aggregate] : kAggregates) {
    if (name == known) return aggregate;
  }
  return std::nullopt;
}

std::string aggregate_names() {
  std::string names;
  for (const auto& [name, aggregate] : kAggregates) names += (names.empty() ? "" : ", ") + std::string(name);
  return names;
}

std::string FeatureSet::from_clause() const {
  Oid oid = relation;
  const char* name = protect([&] {
    char* relation_name = get_rel_name(oid);
    if (relation_name == nullptr) elog(ERROR, "relation %u is gone", oid);
    return quote_qualified_identifier(get_namespace_name(get_rel_namespace(oid)), relation_name);
  });
  return " FROM " + std::string(name) + " e";
}

std::string as_timestamptz(const std::string& sql, Oid type) {
  return type == TIMESTAMPTZOID ? "(" + sql + ")" : "pg_catalog.timezone('UTC', (" + sql + "))";
}

std::string FeatureSet::in_time_type(const std::string& sql) const {
  return time_type == TIMESTAMPTZOID ? sql : "pg_catalog.timezone('UTC', " + sql + ")";
}

std::shared_ptr<const FeatureSet> find_feature_set(std::string_view name, bool read_only) {
  auto known = cache.find(name);
  if (known != cache.end() && known->second->revision == revision_of(name, read_only)) {
    // The table may have been altered or dropped since.
    if (row_identity_of(known->second->relation) == known->second->row_identity) return known->second;
  }
  OwnerScope owner;
  Spi spi;
  std::shared_ptr<const FeatureSet> set = load(spi, name, read_only);
  cache[std::string(name)] = set;
  return set;
}

void check_may_read(const FeatureSet& set) {
  Oid relation = set.relation;
  protect([&] {
    AclResult result = pg_class_aclcheck(relation, GetUserId(), ACL_SELECT);
    if (result != ACLCHECK_OK) {
      aclcheck_error(result, get_relkind_objtype(get_rel_relkind(relation)), get_rel_name(relation));
    }
  });
}

int64_t interval_microseconds(const Interval& interval, const char* what) {
  if (interval.month != 0) {
    throw SqlError(ERRCODE_INVALID_PARAMETER_VALUE,
                   std::string(what) + " must not have months or years, whose length varies", {},
                   "Say it in days, which are 24 hours here: '30 days'.");
  }
  int64_t days, total;
  if (__builtin_mul_overflow(static_cast<int64_t>(interval.day), USECS_PER_DAY, &days) ||
      __builtin_add_overflow(days, interval.time, &total) ||
      total > INT64_MAX / 4 || total < 0) {
    throw SqlError(ERRCODE_INVALID_PARAMETER_VALUE, std::string(what) + " must not be negative, or longer than 26687997 days");
  }
  return total;
}

EventsPeriod events_period(const FeatureSet& set, TimestampTz from, TimestampTz to) {
  const std::string time = as_timestamptz(set.time, set.time_type);
  DefinerScope definer(set);
  Spi spi;
  KeptPlan plan;
  plan.prepare("SELECT min(" + time + "), max(" + time + "), count(*) FILTER (WHERE " + time + " >= $1 AND " + time + " < $2)" + set.from_clause(),
               {TIMESTAMPTZOID, TIMESTAMPTZOID});
  const Datum values[] = {TimestampTzGetDatum(from), TimestampTzGetDatum(to)};
  plan.run(values, nullptr, true);
  EventsPeriod period;
  if (std::optional<Datum> value = spi.datum(0, 1)) period.first = DatumGetTimestampTz(*value);
  if (std::optional<Datum> value = spi.datum(0, 2)) period.last = DatumGetTimestampTz(*value);
  period.within = spi.integer(0, 3).value_or(0);
  return period;
}

FeatureExpression parse_stored_expression(const FeatureSet& set, const char* what, std::string_view text) {
  DefinerScope definer(set);
  return parse_expression(set.relation, what, text);
}

DefinerScope::DefinerScope(const FeatureSet& set) : scope_(definer_of(set)) {
  protect([&] { pin_value_settings(); });
}

}  // namespace fraud::pg
