// Which paths a payment field may have. It is evaluated for each payment that is stored and each that is read, where no time
// limit can be: an index must hold what a query computes. So it is one whose time grows with the payment's size and no faster.
#include "core/base/error.h"

#include <algorithm>
#include <optional>
#include <string>

#include "pg/server/boundary.h"

extern "C" {
#include "utils/jsonpath.h"
}

using namespace fraud::pg;

namespace {

// Attributes have at most 16 levels: so often each value is met.
constexpr int kMostAnyLevels = 3;

// How the time of a path grows. Plain Postgres code throughout: nothing here has a destructor.
struct Growth {
  int power = 0;         // of the payment's size
  bool is_many = false;  // it may find more than one value
};

struct Seen {
  int any_levels = 0;  // ".**" in all of it
  bool refers_back = false;
};

Growth growth_of(JsonPathItem* item, Seen* path);

Growth growth_of_argument(JsonPathItem* item, Seen* path);

// Of a condition; nothing of what is none.
std::optional<Growth> condition_growth(JsonPathItem* item, Seen* path) {
  JsonPathItem left, right;
  switch (item->type) {
    case jpiAnd:
    case jpiOr: {
      jspGetLeftArg(item, &left);
      jspGetRightArg(item, &right);
      const Growth a = growth_of_argument(&left, path), b = growth_of_argument(&right, path);
      return Growth{std::max(a.power, b.power), false};
    }
    case jpiNot:
    case jpiIsUnknown:
      jspGetArg(item, &left);
      return Growth{growth_of_argument(&left, path).power, false};
    case jpiExists:
      jspGetArg(item, &left);
      return Growth{growth_of(&left, path).power, false};
    case jpiEqual:
    case jpiNotEqual:
    case jpiLess:
    case jpiGreater:
    case jpiLessOrEqual:
    case jpiGreaterOrEqual:
    case jpiStartsWith: {
      jspGetLeftArg(item, &left);
      jspGetRightArg(item, &right);
      const Growth a = growth_of(&left, path), b = growth_of(&right, path);
      // Each with each.
      const bool is_pairs = a.is_many && b.is_many;
      return Growth{is_pairs ? std::max(a.power + b.power, 2) : std::max(a.power, b.power), false};
    }
    case jpiLikeRegex: {
      jspInitByBuffer(&left, item->base, item->content.like_regex.expr);
      const char* pattern = item->content.like_regex.pattern;
      for (int i = 0; i + 1 < static_cast<int>(item->content.like_regex.patternlen); ++i) {
        if (pattern[i] != '\\') continue;
        path->refers_back = path->refers_back || (pattern[i + 1] >= '1' && pattern[i + 1] <= '9');
        ++i;
      }
      return Growth{growth_of(&left, path).power, false};
    }
    default:
      return std::nullopt;
  }
}

// Of what stands in a condition: another, or a path.
Growth growth_of_argument(JsonPathItem* item, Seen* path) {
  const std::optional<Growth> growth = condition_growth(item, path);
  return growth ? *growth : growth_of(item, path);
}

// Of a path, or of a number that is computed of some.
Growth growth_of(JsonPathItem* item, Seen* path) {
  check_stack_depth();
  const bool is_root = item->type == jpiRoot;
  Growth growth;
  int filters = 0;
  JsonPathItem at = *item, next, argument;
  for (;;) {
    switch (at.type) {
      case jpiAny:
        ++path->any_levels;
        growth.is_many = true;
        break;
      case jpiAnyArray:
      case jpiAnyKey:
      case jpiKeyValue:
        growth.is_many = true;
        break;
      case jpiIndexArray:
        growth.is_many = true;
        for (int i = 0; i < static_cast<int>(at.content.array.nelems); ++i) {
          const bool is_range = jspGetArraySubscript(&at, &argument, &next, i);
          filters = std::max(filters, growth_of(&argument, path).power);
          if (is_range) filters = std::max(filters, growth_of(&next, path).power);
        }
        break;
      case jpiFilter:
        jspGetArg(&at, &argument);
        filters = std::max(filters, growth_of_argument(&argument, path).power);
        break;
      case jpiAdd:
      case jpiSub:
      case jpiMul:
      case jpiDiv:
      case jpiMod:
        jspGetLeftArg(&at, &argument);
        filters = std::max(filters, growth_of(&argument, path).power);
        jspGetRightArg(&at, &argument);
        filters = std::max(filters, growth_of(&argument, path).power);
        break;
      case jpiPlus:
      case jpiMinus: {
        jspGetArg(&at, &argument);
        const Growth inner = growth_of(&argument, path);
        filters = std::max(filters, inner.power);
        growth.is_many = growth.is_many || inner.is_many;
        break;
      }
      default:
        if (const std::optional<Growth> condition = condition_growth(&at, path)) filters = std::max(filters, condition->power);
        break;
    }
    if (!jspGetNext(&at, &next)) break;
    at = next;
  }
  // What begins at the value at hand meets what is below that, which is met once for each level above.
  growth.power = filters + (is_root && growth.is_many ? 1 : 0);
  return growth;
}

}  // namespace

// fraud._check_field_path(path): refuses one whose time grows faster than a payment.
FRAUD_FUNCTION(check_field_path) {
  const Seen path = protect([&] {
    JsonPath* given = PG_GETARG_JSONPATH_P(0);
    JsonPathItem first;
    jspInit(&first, given);
    Seen found;
    const Growth growth = growth_of(&first, &found);
    if (growth.power > 1) found.any_levels = kMostAnyLevels + 1;
    return found;
  });
  constexpr const char* kHint = "Have the source's mapping put the value into an attribute of its own (attributes.NAME), and name that.";
  if (path.any_levels > kMostAnyLevels) {
    throw SqlError(ERRCODE_INVALID_PARAMETER_VALUE, "the path would look at all of a payment for each of its values",
                   "A payment field is computed for every payment that is stored or read; at most its whole may be looked at once, with .** at most 3 times.", kHint);
  }
  if (path.refers_back) {
    throw SqlError(ERRCODE_INVALID_PARAMETER_VALUE, "the path has a regular expression that refers back, which can take for ever",
                   "A payment field is computed for every payment that is stored or read.", kHint);
  }
  PG_RETURN_VOID();
}
