#include "pg/payments/path_pairs.h"

namespace fraud::pg {
namespace {

// Plain Postgres code: nothing here has a destructor.
bool is_constant(const JsonPathItem& item) {
  return item.type == jpiNull || item.type == jpiString || item.type == jpiNumeric || item.type == jpiBool;
}

bool has_pairs(JsonPathItem* item) {
  check_stack_depth();
  JsonPathItem at = *item, next, left, right;
  for (;;) {
    switch (at.type) {
      case jpiEqual:
      case jpiNotEqual:
      case jpiLess:
      case jpiGreater:
      case jpiLessOrEqual:
      case jpiGreaterOrEqual:
      case jpiAnd:
      case jpiOr:
      case jpiAdd:
      case jpiSub:
      case jpiMul:
      case jpiDiv:
      case jpiMod: {
        const bool is_logic = at.type == jpiAnd || at.type == jpiOr;
        const bool is_number = at.type == jpiAdd || at.type == jpiSub || at.type == jpiMul || at.type == jpiDiv || at.type == jpiMod;
        jspGetLeftArg(&at, &left);
        jspGetRightArg(&at, &right);
        if (!is_logic && !is_number && !is_constant(left) && !is_constant(right)) return true;
        if (has_pairs(&left) || has_pairs(&right)) return true;
        break;
      }
      case jpiStartsWith:
        // Its right side is one text.
        jspGetLeftArg(&at, &left);
        if (has_pairs(&left)) return true;
        break;
      case jpiLikeRegex:
        jspInitByBuffer(&left, at.base, at.content.like_regex.expr);
        if (has_pairs(&left)) return true;
        break;
      case jpiNot:
      case jpiIsUnknown:
      case jpiExists:
      case jpiFilter:
      case jpiPlus:
      case jpiMinus:
        jspGetArg(&at, &left);
        if (has_pairs(&left)) return true;
        break;
      case jpiIndexArray:
        for (int i = 0; i < static_cast<int>(at.content.array.nelems); ++i) {
          const bool is_range = jspGetArraySubscript(&at, &left, &right, i);
          if (has_pairs(&left) || (is_range && has_pairs(&right))) return true;
        }
        break;
      default:
        break;
    }
    if (!jspGetNext(&at, &next)) return false;
    at = next;
  }
}

}  // namespace

bool compares_pairs(JsonPath* path) {
  return protect([&] {
    JsonPathItem first;
    jspInit(&first, path);
    return has_pairs(&first);
  });
}

size_t most_values(std::string_view json) noexcept {
  size_t values = 1;
  bool is_quoted = false;
  for (size_t i = 0; i < json.size(); ++i) {
    const char c = json[i];
    if (c == '"') {
      is_quoted = !is_quoted;
    } else if (is_quoted) {
      i += c == '\\' ? 1 : 0;
    } else if (c == ',' || c == ':' || c == '[' || c == '{') {
      ++values;
    }
  }
  return values;
}

}  // namespace fraud::pg
