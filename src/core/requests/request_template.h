// Texts with placeholders, of which a source's requests are made.
#pragma once

#include "core/base/guard.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace fraud {

// What placeholders stand for, at one page of a poll.
struct RequestValues {
  int64_t since_us = 0, now_us = 0;  // microseconds since the Unix epoch
  std::string cursor;                // empty: the first page
  int64_t page = 0, offset = 0, size = 0;
};

// How a value is written so that the text around it stays what it is.
enum class Escaping { kNone, kJson, kForm };

// A text whose parts are as they are or stand for a value: {{since}}, {{now}} (ISO 8601; of
// another form with :epoch, :epoch_ms, :epoch_us or :date), {{cursor}}, {{page}}, {{offset}}, {{size}}.
class RequestTemplate {
 public:
  RequestTemplate() = default;
  // Throws Error (kInvalidArgument) that lists the placeholders.
  explicit RequestTemplate(std::string_view text);

  std::string render(const RequestValues& values, Escaping escaping = Escaping::kNone) const;

  bool uses(std::string_view name) const;

  // One placeholder and nothing else: whether its value is a number, and whether there is one.
  bool is_number_alone() const;
  bool is_empty_cursor(const RequestValues& values) const;

 private:
  struct Part {
    std::string text;  // or the placeholder's name
    std::string form;
    bool is_placeholder = false;
  };
  static std::string value_of(const Part& part, const RequestValues& values);
  std::vector<Part> parts_;
};

// Percent-encodes all but unreserved characters.
std::string url_encoded(std::string_view text);

}  // namespace fraud
