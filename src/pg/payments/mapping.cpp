#include "pg/payments/mapping.h"

#include "core/base/json.h"
#include "core/payments/forbidden_fields.h"
#include "core/payments/payment.h"
#include "core/payments/time_template.h"

#include <algorithm>
#include <ctime>
#include <map>
#include <utility>
#include <vector>

#include "pg/payments/path_pairs.h"
#include "pg/rules/time_bound.h"
#include "pg/server/boundary.h"

extern "C" {
#include "pgtime.h"
#include "utils/date.h"
#include "utils/datetime.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonpath.h"
}

namespace fraud::pg {

namespace {

constexpr size_t kMaxRules = 200;

[[noreturn]] void refuse(const std::string& what, std::string detail = {}, std::string hint = {}) {
  throw SqlError(ERRCODE_INVALID_PARAMETER_VALUE, "invalid mapping: " + what, std::move(detail), std::move(hint));
}

// A path or a zone of one rule, as Postgres has it.
struct Prepared {
  JsonPath* path = nullptr;     // where it is not a plain chain
  text* time_template = nullptr;
  text* compact_template = nullptr;  // the same with an offset without its colon, for %z
  pg_tz* zone = nullptr;
  int slow = 0;  // how often the path was given up
  bool compares_pairs = false;  // which nothing interrupts
};

// What our rules ask of Postgres.
class PostgresMapping : public Mapping {
 public:
  PostgresMapping() {
    protect([&] {
      memory_ = AllocSetContextCreate(TopMemoryContext, "fraud_detect mapping", ALLOCSET_SMALL_SIZES);
      scratch_ = AllocSetContextCreate(memory_, "fraud_detect mapping of a payment", ALLOCSET_DEFAULT_SIZES);
    });
  }
  ~PostgresMapping() override { MemoryContextDelete(memory_); }
  PostgresMapping(const PostgresMapping&) = delete;
  PostgresMapping& operator=(const PostgresMapping&) = delete;

  // Runs what makes something that lives as long as the mapping.
  template <typename Make>
  auto make(Make body) {
    return protect([&] {
      MemoryContext outer = MemoryContextSwitchTo(memory_);
      auto made = body();
      MemoryContextSwitchTo(outer);
      return made;
    });
  }

  mutable std::vector<Prepared> prepared;  // of each rule

 protected:
  std::optional<std::string> query(size_t rule, const std::string& json) const override {
    // A path can take for ever of a payment that is nested ("$.**.**.** ? …"), and whoever reads it reads for others too.
    constexpr int kMostMilliseconds = 200;
    constexpr int kMostSlow = 5;
    const std::string kTooSlow = "not found within " + std::to_string(kMostMilliseconds) + " ms";
    // Of so many values each is compared with each other in about that time.
    constexpr size_t kMostCompared = 4000;
    if (prepared[rule].compares_pairs && most_values(json) > kMostCompared) {
      throw PathTooSlow{"not looked for, as its condition compares values of the payment with each other, of which there are more than " +
                        std::to_string(kMostCompared)};
    }
    int& slow = prepared[rule].slow;
    if (slow >= kMostSlow) throw PathTooSlow{kTooSlow};
    // Twice, should somebody have stopped the whole process meanwhile.
    for (bool is_again = false;; is_again = true) {
      const clock_t begun = clock();
      TimeBound bound(kMostMilliseconds);
      try {
        std::optional<std::string> answer = find_first(prepared[rule].path, json);
        (void)bound.stop();
        bound.pass_on();
        return answer;
      } catch (const PgError& error) {
        if (!bound.stop()) throw;
        protect([&] { FreeErrorData(error.data()); });
      }
      if (!is_again && (clock() - begun) * 1000 / CLOCKS_PER_SEC < kMostMilliseconds / 2) continue;
      ++slow;
      throw PathTooSlow{kTooSlow};
    }
  }

  std::optional<std::string> find_first(JsonPath* path, const std::string& json) const {
    return in_scratch([&]() -> std::optional<std::string> {
      const char* answer = ask([&]() -> const char* {
        Datum document = DirectFunctionCall1(jsonb_in, CStringGetDatum(json.c_str()));
        Datum none = DirectFunctionCall1(jsonb_in, CStringGetDatum("{}"));
        LOCAL_FCINFO(call, 4);
        InitFunctionCallInfoData(*call, nullptr, 4, InvalidOid, nullptr, nullptr);
        call->args[0] = {document, false};
        call->args[1] = {PointerGetDatum(path), false};
        call->args[2] = {none, false};
        call->args[3] = {BoolGetDatum(true), false};  // faults of a value are no answer
        Datum found = jsonb_path_query_first(call);
        if (call->isnull) return nullptr;
        Jsonb* value = DatumGetJsonbP(found);
        return JsonbToCString(nullptr, &value->root, VARSIZE(value));
      });
      if (answer == nullptr) return std::nullopt;
      return std::string(answer);
    });
  }

  std::optional<int64_t> template_time(size_t rule, std::string_view value) const override {
    const Prepared& one = prepared[rule];
    constexpr size_t kMaxTime = 200;
    if (value.size() > kMaxTime || value.find('\0') != std::string_view::npos) return std::nullopt;
    Time read = read_time(one, one.time_template, value);
    if (!read.is_read && one.compact_template != nullptr) {
      // %z is +01:00, +0100 or Z.
      const bool is_utc = value.back() == 'Z';
      read = read_time(one, one.compact_template, is_utc ? std::string(value.substr(0, value.size() - 1)) + "+0000" : std::string(value));
    }
    return read.is_read ? std::optional<int64_t>(read.us) : std::nullopt;
  }

  std::optional<int64_t> zoned_time(size_t rule, int64_t local_us) const override {
    const Prepared& one = prepared[rule];
    const Time read = protect([&] { return local_time(one.zone, local_us - kEpochUs); });
    return read.is_read ? std::optional<int64_t>(read.us) : std::nullopt;
  }

 private:
  static constexpr int64_t kEpochUs = int64_t{POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE} * USECS_PER_DAY;

  struct Time {
    bool is_read;
    int64_t us;
  };

  Time read_time(const Prepared& one, text* time_template, std::string_view value) const {
    return in_scratch([&] {
      return ask([&]() -> Time {
        Oid type;
        int32 modifier;
        int offset = 0;
        bool failed = false;
        Datum time = parse_time_by_template(cstring_to_text_with_len(value.data(), static_cast<int>(value.size())),
                                            time_template, &type, &modifier, &offset, &failed);
        if (failed) return {false, 0};
        switch (type) {
          case TIMESTAMPTZOID:
            return {true, unix_us(DatumGetTimestampTz(time))};
          case TIMESTAMPOID:
            return local_time(one.zone, DatumGetTimestamp(time));
          case DATEOID: {
            // Midnight; the template has no time of day.
            const int64 days = DatumGetDateADT(time);
            if (days < -1000000 || days > 1000000) return {false, 0};
            return local_time(one.zone, days * USECS_PER_DAY);
          }
          default:
            return {false, 0};
        }
      });
    });
  }

  static int64_t unix_us(TimestampTz time) { return time + kEpochUs; }

  // Returns the time of a local one as PostgreSQL's own casts do: of two of the same name it is the
  // one of standard time, and one that was skipped is taken by the offset before.
  static Time local_time(pg_tz* zone, Timestamp timestamp) {
    if (zone == nullptr) return {true, unix_us(timestamp)};
    struct pg_tm parts;
    fsec_t fraction;
    if (timestamp2tm(timestamp, nullptr, &parts, &fraction, nullptr, nullptr) != 0) return {false, 0};
    const int offset = DetermineTimeZoneOffset(&parts, zone);
    return {true, unix_us(timestamp + int64_t{offset} * USECS_PER_SEC)};
  }

  // Asks Postgres; what it finds wrong with a value is no answer.
  template <typename Question>
  static auto ask(Question question) -> decltype(question()) {
    try {
      return protect(question);
    } catch (const PgError& error) {
      const int category = ERRCODE_TO_CATEGORY(error.data()->sqlerrcode);
      if (category == ERRCODE_OPERATOR_INTERVENTION || category == ERRCODE_INSUFFICIENT_RESOURCES) throw;
      protect([&] { FreeErrorData(error.data()); });
      return {};
    }
  }

  template <typename Body>
  auto in_scratch(Body body) const -> decltype(body()) {
    struct Scope {
      explicit Scope(MemoryContext scratch) : scratch_(scratch), outer_(MemoryContextSwitchTo(scratch)) {}
      ~Scope() {
        MemoryContextSwitchTo(outer_);
        MemoryContextReset(scratch_);
      }
      MemoryContext scratch_, outer_;
    } scope(scratch_);
    return body();
  }

  MemoryContext memory_ = nullptr, scratch_ = nullptr;
};

// ------------------------------------------------------------------- paths

// True where the path has a variable, as in "$limit". Nobody gives it a value: it is "$.limit" that is meant.
bool has_variable(JsonPath* path) {
  const std::string text = protect([&] { return std::string_view(DatumGetCString(DirectFunctionCall1(jsonpath_out, PointerGetDatum(path)))); }).data();
  bool is_quoted = false;
  for (size_t i = 0; i + 1 < text.size(); ++i) {
    if (text[i] == '\\') {
      ++i;
    } else if (text[i] == '"') {
      is_quoted = !is_quoted;
    } else if (!is_quoted && text[i] == '$' && text[i + 1] == '"') {
      return true;
    }
  }
  return false;
}

JsonPath* parse_path(PostgresMapping* mapping, const std::string& path, const std::string& where) {
  try {
    JsonPath* parsed = mapping->make([&] { return DatumGetJsonPathP(DirectFunctionCall1(jsonpath_in, CStringGetDatum(path.c_str()))); });
    if (has_variable(parsed)) refuse(where + " has a variable, which nobody gives a value", "", "A member is found by a point: '$.card.number'.");
    return parsed;
  } catch (const PgError& error) {
    if (ERRCODE_TO_CATEGORY(error.data()->sqlerrcode) == ERRCODE_OPERATOR_INTERVENTION) throw;
    const std::string fault = error.what();
    protect([&] { FreeErrorData(error.data()); });
    refuse(where + " is no jsonpath: " + redact(fault, ""), "", "A path begins with $, which is the payment: '$.card.number'.");
  }
}

// Returns the steps of a path that is a plain chain in lax mode, at the end of which may stand
// [*] if `is_list`; nothing where it is another.
std::optional<std::vector<PathStep>> plain_steps(JsonPath* path, bool is_list) {
  std::vector<PathStep> steps;
  if ((path->header & JSONPATH_LAX) == 0) return std::nullopt;
  JsonPathItem item;
  protect([&] { jspInit(&item, path); });
  if (item.type != jpiRoot) return std::nullopt;
  JsonPathItem next;
  while (protect([&] { return jspGetNext(&item, &next); })) {
    item = next;
    PathStep step;
    if (item.type == jpiKey) {
      int32 size = 0;
      const char* key = protect([&] { return jspGetString(&item, &size); });
      step.key.assign(key, static_cast<size_t>(size));
    } else if (item.type == jpiIndexArray && item.content.array.nelems == 1) {
      JsonPathItem from, to;
      const bool has_to = protect([&] { return jspGetArraySubscript(&item, &from, &to, 0); });
      if (has_to || from.type != jpiNumeric || jspHasNext(&from)) return std::nullopt;
      step.index = protect([&] { return DatumGetInt32(DirectFunctionCall1(numeric_int4, NumericGetDatum(jspGetNumeric(&from)))); });
      if (step.index < 0) return std::nullopt;
    } else if (item.type == jpiAnyArray && is_list) {
      if (!jspHasNext(&item)) continue;
      step.is_each = true;
    } else if (item.type == jpiAnyKey && is_list) {
      step.is_any_member = true;
    } else {
      return std::nullopt;
    }
    steps.push_back(std::move(step));
  }
  return steps;
}

// ------------------------------------------------------------------- times

std::string from_strptime(const std::string& format, const std::string& where) {
  char unknown = 0;
  if (std::optional<std::string> found = template_of_strptime(format, &unknown)) return *found;
  if (unknown == '\0') refuse(where + " ends with %", "Known are " + std::string(kStrptimeParts) + ".");
  refuse(where + " has %" + std::string(1, unknown) + ", which is not known", "Known are " + std::string(kStrptimeParts) + ".",
         "Or give a template of to_timestamp: 'DD/MM/YYYY HH24:MI:SS'.");
}

// ------------------------------------------------------------------- rules

std::string shown(const Json& value) { return redact(value.dump(), ""); }

std::string text_of(const Json& value, const std::string& where) {
  if (!value.is_text()) refuse(where + " must be a text, not " + shown(value));
  return value.text();
}

bool flag_of(const Json& value, const std::string& where) {
  if (!value.is_boolean()) refuse(where + " must be true or false, not " + shown(value));
  return value.boolean();
}

// Refuses a member that nobody reads.
void check_members(const Json& object, const std::string& where, std::initializer_list<std::string_view> known) {
  for (const std::string& name : object.names()) {
    if (std::find(known.begin(), known.end(), name) != known.end()) continue;
    std::string hint;
    for (const std::string_view one : known) hint += (hint.empty() ? "" : ", ") + std::string(one);
    refuse(where + " has no \"" + redact(name, "") + "\"", "", "It can have " + hint + ".");
  }
}

void take_time(PostgresMapping* mapping, const Json& time, const std::string& where, FieldRule* rule, Prepared* prepared) {
  if (rule->name != "trans_date_trans_time" && rule->name != "dob") {
    refuse(where + " has \"time\", which is for occurred_at and date_of_birth", "", "Leave it out.");
  }
  std::string format = "iso8601";
  if (time.is_text()) {
    format = time.text();
  } else if (time.is_object()) {
    check_members(time, "time of " + where, {"format", "zone"});
    if (time.contains("format")) format = text_of(time["format"], "format of " + where);
    if (time.contains("zone")) {
      const std::string zone = text_of(time["zone"], "zone of " + where);
      // As "AT TIME ZONE" reads it, but for abbreviations, which mean another offset elsewhere.
      prepared->zone = mapping->make([&] { return pg_tzset(zone.c_str()); });
      if (prepared->zone == nullptr || !pg_tz_acceptable(prepared->zone)) {
        refuse("time zone \"" + redact(zone, "") + "\" of " + where + " is not known", "", "pg_timezone_names lists the zones: 'Europe/Paris'.");
      }
      rule->has_zone = true;
    }
  } else {
    refuse("time of " + where + " must be a text or an object, not " + shown(time));
  }
  rule->time_format = format;
  const std::pair<std::string_view, TimeFormat> kFormats[] = {
      {"iso8601", TimeFormat::kIso8601},
      {"epoch_s", TimeFormat::kEpochSeconds},
      {"epoch_ms", TimeFormat::kEpochMilliseconds},
      {"epoch_us", TimeFormat::kEpochMicroseconds},
  };
  for (const auto& [name, known] : kFormats) {
    if (format == name) rule->time = known;
  }
  if (rule->time != TimeFormat::kNone) {
    if (rule->has_zone && rule->time != TimeFormat::kIso8601) refuse(where + " has a zone, but an epoch is of none", "",
                                                                     "Leave the zone out.");
    if (rule->name == "dob") refuse(where + " needs a template of a date", "", "For example: {\"format\": \"DD/MM/YYYY\"}.");
    return;
  }
  rule->time = TimeFormat::kTemplate;
  const std::string read_by = format.find('%') == std::string::npos ? format : from_strptime(format, "format of " + where);
  prepared->time_template = mapping->make([&] { return cstring_to_text_with_len(read_by.data(), static_cast<int>(read_by.size())); });
  const size_t offset = read_by.find("TZH:TZM");
  if (read_by != format && offset != std::string::npos) {
    std::string compact = read_by;
    compact.erase(offset + 3, 1);
    prepared->compact_template = mapping->make([&] { return cstring_to_text_with_len(compact.data(), static_cast<int>(compact.size())); });
  }
  // A template that Postgres refuses, it refuses whatever the text is.
  try {
    protect([&] {
      Oid type;
      int32 modifier;
      int seconds = 0;
      bool failed = false;
      (void)parse_time_by_template(cstring_to_text("2024"), prepared->time_template, &type, &modifier, &seconds, &failed);
    });
  } catch (const PgError& error) {
    if (ERRCODE_TO_CATEGORY(error.data()->sqlerrcode) == ERRCODE_OPERATOR_INTERVENTION) throw;
    const std::string fault = error.what();
    protect([&] { FreeErrorData(error.data()); });
    refuse("format \"" + redact(format, "") + "\" of " + where + " is none: " + redact(fault, ""), "",
           "It is iso8601, epoch_s, epoch_ms, epoch_us, a template of to_timestamp (DD/MM/YYYY HH24:MI:SS), or of strptime (%d/%m/%Y %H:%M:%S).");
  }
  const bool has_letter = std::any_of(format.begin(), format.end(), [](unsigned char c) { return isalpha(c) != 0; });
  if (!has_letter) refuse("format \"" + redact(format, "") + "\" of " + where + " names no part of a time", "",
                          "For example: {\"format\": \"DD/MM/YYYY HH24:MI:SS\"}.");
}

void check_kept(const std::vector<PathStep>& steps, const std::string& what) {
  if (std::none_of(steps.begin(), steps.end(), [](const PathStep& step) { return is_forbidden_field(step.key); })) return;
  refuse(what + " leads to what must not be kept", "Card verification values, PINs and tracks must not be kept after the authorisation.");
}

// Refuses a way that does not leave that of the payments at an object, into another member.
void check_around(const Mapping& mapping, const std::vector<PathStep>& steps, const std::string& what) {
  const std::vector<PathStep>& payments = mapping.payments;
  const auto [apart, end] = std::mismatch(steps.begin(), steps.end(), payments.begin(), payments.end());
  const bool is_chain = std::all_of(apart, steps.end(), [](const PathStep& step) { return !step.key.empty(); });
  if (!payments.empty() && apart != steps.end() && end != payments.end() && !end->key.empty() && is_chain) return;
  refuse(what + " is not around the payments", "",
         "It goes as payments does, and from an object on that way into another member: {\"payments\": \"$.accounts[*].rows[*]\"} and \"$.accounts[*].currency\".");
}

// Takes the paths of values that make one text, such as a date and the time of day.
void take_paths(PostgresMapping* mapping, const Json& paths, const std::string& where, bool is_around, FieldRule* rule) {
  constexpr size_t kMostPaths = 5;
  const std::vector<Json> list = paths.values();
  if (list.size() < 2 || list.size() > kMostPaths || is_around) {
    refuse("path of " + where + " must be a path, or an array of two to five of the payment, not " + shown(paths).substr(0, 200), "",
           "The texts of several are put together with a blank between: [\"$.date\", \"$.time\"].");
  }
  for (const Json& one : list) {
    const std::string path = text_of(one, "a path of " + where);
    std::optional<std::vector<PathStep>> steps = plain_steps(parse_path(mapping, path, "path " + shown(one) + " of " + where), false);
    if (!steps) refuse("path " + shown(one) + " of " + where + " is more than a chain of members", "", "Where there are several, each is such a chain: [\"$.date\", \"$.time\"].");
    check_kept(*steps, "path " + shown(one) + " of " + where);
    if (rule->path.empty()) {
      rule->path = path;
      rule->steps = std::move(*steps);
    } else {
      rule->path += ' ' + path;
      rule->more.push_back(std::move(*steps));
    }
  }
}

// A field that is the name of the member that a payment is.
void take_key(const Mapping& mapping, const std::string& where, FieldRule* rule) {
  const bool has_any = std::any_of(mapping.payments.begin(), mapping.payments.end(), [](const PathStep& step) { return step.is_any_member; });
  if (!rule->path.empty() || !rule->constant.empty()) refuse(where + " is from the key, and has a path or a value too", "", "The name of the payment's member is all there is.");
  if (!has_any) refuse(where + " is from the key, and payments have none", "", "Payments that are members of an object are at a path with an asterisk: {\"payments\": \"$.transactions.*\"}.");
  rule->path = "key";
  rule->steps = {{std::string(kEnvelope)}, {rule->name}};
}

// Takes the names of columns, or where in the body they are.
void take_columns(PostgresMapping* mapping, const Json& columns, PaymentFormat format) {
  if (columns.is_array()) {
    for (const Json& name : columns.values()) mapping->columns.push_back(text_of(name, "a name of columns"));
    return;
  }
  if (!columns.is_text() || format == PaymentFormat::kCsv) {
    refuse("columns must be an array of names, " + std::string(format == PaymentFormat::kCsv ? "" : "or a path to one, ") + "not " + shown(columns));
  }
  const std::string path = columns.text();
  const std::string what = "columns " + shown(columns);
  std::optional<std::vector<PathStep>> steps = plain_steps(parse_path(mapping, path, what), true);
  if (!steps) refuse(what + " is more than a chain of members", "", "For example: '$.columns', or '$.fields[*].name'.");
  if (steps->size() > 1 && (*steps)[steps->size() - 2].is_each && !steps->back().key.empty()) {
    mapping->columns_member = steps->back().key;
    steps->resize(steps->size() - 2);
  }
  check_around(*mapping, *steps, what);
  mapping->columns_path = std::move(*steps);
  mapping->columns_given = path;
}

void take_rule(PostgresMapping* mapping, const std::string& given, const Json& value) {
  constexpr std::string_view kAttribute = "attributes.";
  FieldRule rule;
  Prepared prepared;
  bool is_around = false;
  const std::string where = "\"" + redact(given, "") + "\"";
  if (given.compare(0, kAttribute.size(), kAttribute) == 0 && given.size() > kAttribute.size()) {
    rule.name = given;
    if (is_forbidden_field(given.substr(kAttribute.size()))) {
      refuse(where + " is a name of what must not be kept", "Card verification values, PINs and tracks must not be kept after the authorisation.");
    }
  } else {
    rule.name = wire_name(given);
  }
  if (rule.name.empty()) {
    std::string hint;
    for (const std::string& name : nearest_fields(given)) hint += (hint.empty() ? "" : ", ") + name;
    refuse("there is no field " + where, "", "Nearest are " + hint + "; what is no field of ours can be \"attributes." + redact(given, "") + "\".");
  }
  for (const FieldRule& other : mapping->rules) {
    if (other.name == rule.name) refuse(where + " is the same field as another one that is named", "", "Name it once.");
  }
  if (value.is_text()) {
    rule.path = value.text();
  } else if (value.is_object()) {
    check_members(value, where, {"path", "value", "map", "default", "time", "minor_units", "negative", "decimal", "from"});
    if (value.contains("from")) {
      const std::string from = text_of(value["from"], "from of " + where);
      is_around = from == "envelope";
      rule.is_key = from == "key";
      if (!is_around && !rule.is_key) {
        refuse("from of " + where + " must be envelope or key, not " + shown(value["from"]), "", "A path from the envelope is one of the body: $ is all of it.");
      }
    }
    if (value.contains("path") && value["path"].is_array()) {
      take_paths(mapping, value["path"], where, is_around, &rule);
    } else if (value.contains("path")) {
      rule.path = text_of(value["path"], "path of " + where);
    }
    if (value.contains("value")) rule.constant = value["value"].dump();
    if (value.contains("default")) rule.otherwise = value["default"].dump();
    if (value.contains("map")) {
      if (!value["map"].is_object()) refuse("map of " + where + " must be an object, not " + shown(value["map"]));
      value["map"].each_member([&](const std::string& from, const Json& to) { rule.values[from] = to.dump(); });
    }
    if (value.contains("time")) take_time(mapping, value["time"], where, &rule, &prepared);
    const bool is_amount = rule.name == "amt";
    if (value.contains("minor_units")) rule.is_minor = flag_of(value["minor_units"], "minor_units of " + where);
    if (rule.is_minor && !is_amount) refuse(where + " has \"minor_units\", which is for amount", "", "Leave it out.");
    if (value.contains("negative")) {
      const std::string negative = text_of(value["negative"], "negative of " + where);
      if (!is_amount && rule.name != "amt_minor") refuse(where + " has \"negative\", which is for amount", "", "Leave it out.");
      if (negative == "refund") {
        rule.sign = NegativeAmount::kNegativeIsRefund;
      } else if (negative == "payment") {
        rule.sign = NegativeAmount::kNegativeIsPayment;
      } else {
        refuse("negative of " + where + " is \"" + redact(negative, "") + "\"", "",
               "It is refund (negative amounts are refunds), or payment (negative amounts are payments, others refunds).");
      }
    }
    if (value.contains("decimal")) {
      const std::string decimal = text_of(value["decimal"], "decimal of " + where);
      if (decimal != "," && decimal != ".") refuse("decimal of " + where + " must be \".\" or \",\", not " + shown(value["decimal"]));
      rule.decimal = decimal[0];
    }
  } else {
    refuse(where + " must be a path or an object, not " + shown(value), "", "For example: {\"amount\": \"$.amount.value\"}.");
  }
  if (rule.name == "trans_date_trans_time" && rule.time == TimeFormat::kNone && rule.constant.empty()) rule.time = TimeFormat::kIso8601;
  if (rule.is_key) {
    take_key(*mapping, where, &rule);
  } else if (rule.path.empty() == rule.constant.empty()) {
    refuse(where + (rule.path.empty() ? " has neither a path nor a value" : " has both a path and a value"), "",
           "Give path, which leads to it in a payment, or value, which is that of all payments.");
  }
  if (!rule.path.empty() && rule.more.empty() && !rule.is_key) {
    JsonPath* path = parse_path(mapping, rule.path, "path " + shown(rule.path) + " of " + where);
    std::optional<std::vector<PathStep>> steps = plain_steps(path, is_around);
    rule.is_plain = steps.has_value();
    if (is_around && !steps) {
      refuse("path " + shown(rule.path) + " of " + where + " is more than a chain of members", "", "What stands around the payments is not read as a whole.");
    }
    if (steps) {
      rule.steps = std::move(*steps);
      check_kept(rule.steps, "path " + shown(rule.path) + " of " + where);
    } else {
      prepared.path = path;
      prepared.compares_pairs = compares_pairs(path);
    }
    if (is_around) {
      check_around(*mapping, rule.steps, "path " + shown(rule.path) + " of " + where);
      rule.around = std::exchange(rule.steps, {{std::string(kEnvelope)}, {rule.name}});
    }
  } else if (is_around) {
    refuse(where + " has \"from\", which needs a path");
  }
  // The card number's is first: what is quoted of others is masked with it.
  const bool is_first = rule.name == "cc_num";
  mapping->rules.insert(is_first ? mapping->rules.begin() : mapping->rules.end(), std::move(rule));
  mapping->prepared.insert(is_first ? mapping->prepared.begin() : mapping->prepared.end(), prepared);
}

}  // namespace

std::unique_ptr<const Mapping> compile_mapping(std::string_view json, PaymentFormat format) {
  const Json spec = Json::parse(json);
  if (!spec.is_readable()) refuse("it must be an object, not a broken one");
  if (!spec.is_object()) refuse("it must be an object, not " + shown(spec).substr(0, 40));
  check_members(spec, "it", {"payments", "fields", "delimiter", "columns"});
  auto mapping = std::make_unique<PostgresMapping>();
  if (spec.contains("payments")) {
    const std::string path = text_of(spec["payments"], "payments");
    std::optional<std::vector<PathStep>> steps = plain_steps(parse_path(mapping.get(), path, "payments " + shown(path)), true);
    if (!steps) {
      refuse("payments " + shown(path) + " is more than a chain of members",
             "The body is searched for it without being read as a whole.", "For example: '$.data.transactions[*]'.");
    }
    if (format != PaymentFormat::kAuto && format != PaymentFormat::kRecords) {
      refuse("payments is a path in a JSON document, and the format is another", "",
             "Leave payments out, or give format => 'records'.");
    }
    mapping->payments = std::move(*steps);
    mapping->payments_path = path;
  }
  if (spec.contains("delimiter")) {
    const std::string delimiter = text_of(spec["delimiter"], "delimiter");
    if (delimiter.size() != 1 || delimiter[0] == '"' || delimiter[0] == '\n' || delimiter[0] == '\r' || static_cast<unsigned char>(delimiter[0]) >= 0x80) {
      refuse("delimiter must be one character, not " + shown(spec["delimiter"]));
    }
    mapping->delimiter = delimiter[0];
  }
  if (spec.contains("columns")) {
    take_columns(mapping.get(), spec["columns"], format);
  }
  if (format != PaymentFormat::kCsv && spec.contains("delimiter")) {
    refuse("delimiter is for the format csv", "", "Leave it out, or give format => 'csv'.");
  }
  if (spec.contains("fields")) {
    const Json& fields = spec["fields"];
    if (!fields.is_object() || fields.empty()) refuse("fields must be an object that names fields, not " + shown(fields).substr(0, 40));
    if (fields.size() > kMaxRules) refuse("fields has more than " + std::to_string(kMaxRules) + " members");
    fields.each_member([&](const std::string& name, const Json& value) { take_rule(mapping.get(), name, value); });
  }
  return mapping;
}

std::shared_ptr<const Mapping> mapping_argument(FunctionCallInfo fcinfo, int index, PaymentFormat format) {
  if (PG_NARGS() <= index || PG_ARGISNULL(index)) return nullptr;
  Jsonb* value = protect([&] { return PG_GETARG_JSONB_P(index); });
  // An application sends the same one with each payment. Never destroyed: at the process's end
  // there is no Postgres left to free them.
  constexpr size_t kMostKept = 32;
  static auto& kept = *new std::map<std::pair<std::string, PaymentFormat>, std::shared_ptr<const Mapping>>;
  std::pair<std::string, PaymentFormat> key({VARDATA(value), VARSIZE(value) - VARHDRSZ}, format);
  const auto known = kept.find(key);
  if (known != kept.end()) return known->second;
  const std::string_view json = protect([&] { return std::string_view(JsonbToCString(nullptr, &value->root, VARSIZE(value))); });
  std::shared_ptr<const Mapping> made = compile_mapping(json, format);
  if (kept.size() >= kMostKept) kept.clear();
  kept.emplace(std::move(key), made);
  return made;
}

PaymentFormat checked_format(std::string_view name) {
  const std::optional<PaymentFormat> format = payment_format(name);
  if (format) return *format;
  throw SqlError(ERRCODE_INVALID_PARAMETER_VALUE, "unknown payment format \"" + redact(name, "") + "\"", "",
                 "The formats are auto, split, records, ndjson and csv.");
}

}  // namespace fraud::pg
