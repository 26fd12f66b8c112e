#include "core/payments/time_template.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace fraud {

std::optional<std::string> template_of_strptime(std::string_view format, char* unknown) {
  constexpr std::pair<char, std::string_view> kParts[] = {
      {'Y', "YYYY"}, {'y', "YY"},      {'m', "MM"}, {'d', "DD"},   {'H', "HH24"}, {'I', "HH12"},   {'M', "MI"},      {'S', "SS"},
      {'f', "US"},   {'z', "TZH:TZM"}, {'p', "AM"}, {'b', "Mon"},  {'B', "Month"}, {'j', "DDD"},
      {'T', "HH24:MI:SS"}, {'F', "YYYY-MM-DD"},
  };
  std::string result, literal;
  const auto end_literal = [&] {
    if (!literal.empty()) result += '"' + literal + '"';
    literal.clear();
  };
  for (size_t i = 0; i < format.size(); ++i) {
    const char c = format[i];
    if (c != '%') {
      // Of these to_timestamp takes what they are; all else it is told to.
      if (std::string_view("-./,':; ").find(c) != std::string_view::npos) {
        end_literal();
        result += c;
      } else {
        if (c == '"' || c == '\\') literal += '\\';
        literal += c;
      }
      continue;
    }
    end_literal();
    const char part = ++i < format.size() ? format[i] : '\0';
    const auto* found = std::find_if(std::begin(kParts), std::end(kParts), [&](const auto& one) { return one.first == part; });
    if (found == std::end(kParts)) {
      *unknown = part;
      return std::nullopt;
    }
    result += found->second;
  }
  end_literal();
  return result;
}

}  // namespace fraud
