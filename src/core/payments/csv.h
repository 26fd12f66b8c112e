// Lines of comma-separated values (RFC 4180), by libcsv, a record at a time.
#pragma once

#include "core/base/guard.h"

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace fraud {

// Reads records one after the other. Of one that is broken only the line where it begins is
// given up: a quote that nobody closes does not take the rest of the text with it.
class Csv {
 public:
  Csv(std::string_view text, char delimiter);
  ~Csv();
  Csv(const Csv&) = delete;
  Csv& operator=(const Csv&) = delete;

  // Goes to the next record that is not blank; false at the end.
  bool next();

  // The record: where it stands in the text, without its line end, and in which line it begins.
  size_t begin() const { return begin_; }
  size_t end() const { return end_; }
  size_t line() const { return line_; }

  bool is_broken() const { return !fault_.empty(); }
  const std::string& fault() const { return fault_; }
  const std::vector<std::string>& fields() const { return fields_; }

  bool has_gone_wrong() const { return is_out_of_memory_; }

 private:
  struct Parser;

  size_t record_end(size_t at) const;
  bool parse(std::string_view record);

  std::string_view text_;
  char delimiter_;
  std::unique_ptr<Parser> parser_;
  std::vector<std::string> fields_;
  std::string fault_;
  size_t begin_ = 0, end_ = 0;
  size_t line_ = 0;
  size_t next_ = 0;       // where the next record begins
  size_t next_line_ = 1;
  bool is_out_of_memory_ = false;
};

// Appends a value as a JSON string; bytes that are no UTF-8 stay as they are, to be a fault of
// this value.
void write_csv_value(std::string_view value, std::string* out);

}  // namespace fraud
