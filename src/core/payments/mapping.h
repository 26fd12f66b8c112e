// How another API's payments become ours: which of our fields is found where, and what its
// values mean (docs/sources.md). The paths are PostgreSQL's own jsonpath; those that are plain
// chains of members are followed here, in the document that was read, so that nothing of a
// value is lost on the way. Others, and times of a zone, are asked of Postgres by way of the
// functions that a subclass overrides.
#pragma once

#include "core/base/guard.h"

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/payments/json_document.h"

namespace fraud {

// A step of a plain path: into a member of an object, or to an element of an array.
struct PathStep {
  std::string key;
  int64_t index = -1;  // not negative: of an array, and there is no key
  bool is_each = false;  // into every element of an array, and there is no key
  bool is_any_member = false;  // into every member of an object, and there is no key

  bool is_many() const { return is_each || is_any_member; }
  bool operator==(const PathStep& other) const {
    return key == other.key && index == other.index && is_each == other.is_each && is_any_member == other.is_any_member;
  }
};

// The member of a payment under which the reader puts what its fields take from around the payments.
constexpr std::string_view kEnvelope = "$envelope";

enum class TimeFormat {
  kNone,
  kIso8601,
  kEpochSeconds,
  kEpochMilliseconds,
  kEpochMicroseconds,
  kTemplate,  // read by Postgres
};

// What a sign of an amount says.
enum class NegativeAmount { kNone, kNegativeIsRefund, kNegativeIsPayment };

// Where one field comes from.
struct FieldRule {
  std::string name;              // the wire format's
  std::string path;              // as it was given; empty: none
  bool is_plain = true;          // `steps` are the path
  std::vector<PathStep> steps;
  std::vector<std::vector<PathStep>> more;  // plain paths whose texts follow behind a blank
  std::string constant;          // JSON; not empty: in place of a path
  std::map<std::string, std::string> values;  // JSON for what was found; others stay
  std::string otherwise;         // JSON, where nothing is found; empty: none
  TimeFormat time = TimeFormat::kNone;
  std::string time_format;       // as it was given, for messages
  bool has_zone = false;         // times without an offset are of it
  std::vector<PathStep> around;  // not empty: where in the body it is, around the payments
  bool is_key = false;           // it is the name of the member that the payment is
  bool is_minor = false;         // the amount is in minor units
  char decimal = '\0';             // what parts the decimals of a text, whose thousands may be parted: 1.234,50 or 1,234.50
  NegativeAmount sign = NegativeAmount::kNone;
};

// Why a field could not be mapped.
struct MappingFault {
  std::string name;
  std::string found;
  bool is_text = false;  // what was found, not a word for it
  std::string expected;
};

// What a path whose answer takes too long is given up with.
struct PathTooSlow {
  std::string found;  // what stands in place of an answer
};

class Mapping {
 public:
  virtual ~Mapping() = default;

  // Writes the payment of a document, which is an object, as an object with the wire format's
  // names; what no rule takes goes under "attributes". `faults` are of fields that are in the
  // result as {"unreadable": …}.
  void apply(const Document& document, std::string* out, std::vector<MappingFault>* faults) const;

  // Returns the path that the field is taken from, or "".
  std::string_view path_of(std::string_view field) const;

  // True where a field is taken from around the payments.
  bool looks_around() const;

  // True when there are rules; else the payments have the wire format's names as they are.
  bool has_rules() const { return !rules.empty(); }

  // Returns what the path of a rule finds first in a JSON text, as JSON; nothing if nothing. Throws PathTooSlow.
  virtual std::optional<std::string> query(size_t rule, const std::string& json) const;
  // Returns the time, in microseconds since the Unix epoch, that a text of the rule's template says.
  virtual std::optional<int64_t> template_time(size_t rule, std::string_view text) const;
  // Returns the time in microseconds since the Unix epoch of a local time in the rule's zone.
  virtual std::optional<int64_t> zoned_time(size_t rule, int64_t local_us) const;

  std::vector<PathStep> payments;  // where the body has its payments
  std::string payments_path;       // as it was given; empty: the body's own layout
  std::vector<FieldRule> rules;    // the card number's is the first
  char delimiter = ',';            // of CSV
  std::vector<std::string> columns;  // of CSV that has no header, or of payments that are arrays
  std::vector<PathStep> columns_path;  // not empty: where in the body their names are
  std::string columns_member;          // of each of these, an object, the member that is the name
  std::string columns_given;           // the path as it was given
};

// Returns the wire format's name of a field of either name, its own or that of the column of
// fraud.transactions or fraud.customers where it is stored; "" where there is none.
std::string_view wire_name(std::string_view name);

// Returns the names that a field can have which are most like `name`, best first.
std::vector<std::string> nearest_fields(std::string_view name);

// Appends a value of a document as it was read: what cannot be read stays so.
void write_node(const Document& document, size_t node, std::string* out);

// Appends text as a JSON string.
void write_json_string(std::string_view text, std::string* out);

// Returns a time in microseconds since the Unix epoch as ISO 8601 in UTC, with microseconds.
std::string format_time_us(int64_t us);

}  // namespace fraud
