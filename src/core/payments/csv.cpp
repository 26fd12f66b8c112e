// Reads comma-separated values by libcsv.
#include "core/payments/csv.h"

#include <algorithm>
#include <csv.h>

#include "core/payments/json_scan.h"
#include "core/payments/mapping.h"

namespace fraud {
namespace {

// So far a quote is looked for that closes one; a line that is longer breaks.
constexpr size_t kMaxRecord = size_t{64} << 10;

}  // namespace

struct Csv::Parser {
  csv_parser parser{};

  // Callbacks of libcsv.
  static void take_field(void* value, size_t size, void* fields) {
    static_cast<std::vector<std::string>*>(fields)->emplace_back(static_cast<const char*>(value), size);
  }
  static void end_record(int, void*) {}
  static int is_no_space(unsigned char) { return 0; }
};

Csv::Csv(std::string_view text, char delimiter) : text_(text), delimiter_(delimiter), parser_(std::make_unique<Parser>()) {
  is_out_of_memory_ = csv_init(&parser_->parser, CSV_STRICT | CSV_STRICT_FINI) != 0;
  csv_set_delim(&parser_->parser, static_cast<unsigned char>(delimiter));
  // Blanks are part of a value (RFC 4180, 2.4).
  csv_set_space_func(&parser_->parser, Parser::is_no_space);
}

Csv::~Csv() { csv_free(&parser_->parser); }

// Returns the end of the record that begins at `at`: the first line end outside of quotes, or
// npos where its quotes do not end.
size_t Csv::record_end(size_t at) const {
  const std::string_view window = text_.substr(0, std::min(text_.size(), at + kMaxRecord));
  for (;;) {
    const size_t stop = window.find_first_of("\"\n", at);
    if (stop == std::string_view::npos) return window.size() == text_.size() ? text_.size() : std::string_view::npos;
    if (window[stop] == '\n') return stop;
    const size_t close = window.find('"', stop + 1);
    if (close == std::string_view::npos) return std::string_view::npos;
    at = close + 1;
  }
}

bool Csv::parse(std::string_view record) {
  fields_.clear();
  csv_parser* parser = &parser_->parser;
  const bool is_read = csv_parse(parser, record.data(), record.size(), Parser::take_field, Parser::end_record, &fields_) == record.size() &&
                       csv_fini(parser, Parser::take_field, Parser::end_record, &fields_) == 0;
  if (is_read) return true;
  const int code = csv_error(parser);
  is_out_of_memory_ = is_out_of_memory_ || code == CSV_ENOMEM || code == CSV_ETOOBIG;
  fault_ = "it is no line of CSV: ";
  fault_ += code == CSV_EPARSE ? "a quote stands where none may be, or is not closed" : csv_strerror(code);
  // What libcsv had begun is given up.
  csv_free(parser);
  is_out_of_memory_ = csv_init(parser, CSV_STRICT | CSV_STRICT_FINI) != 0 || is_out_of_memory_;
  csv_set_delim(parser, static_cast<unsigned char>(delimiter_));
  csv_set_space_func(parser, Parser::is_no_space);
  return false;
}

bool Csv::next() {
  for (;;) {
    if (next_ >= text_.size() || is_out_of_memory_) return false;
    begin_ = next_;
    line_ = next_line_;
    fault_.clear();
    const size_t line_end = std::min(text_.find('\n', begin_), text_.size());
    end_ = record_end(begin_);
    const bool is_closed = end_ != std::string_view::npos;
    if (!is_closed) {
      fields_.clear();
      fault_ = "it is no line of CSV: a quote is not closed within " + std::to_string(kMaxRecord) + " bytes";
    } else {
      const size_t size = end_ - begin_ - (end_ > begin_ && text_[end_ - 1] == '\r' ? 1 : 0);
      const std::string_view record = text_.substr(begin_, size);
      if (record.find_first_not_of(kJsonBlank) == std::string_view::npos) {
        next_ = end_ + 1;
        ++next_line_;
        continue;
      }
      (void)parse(record);
    }
    if (is_broken()) end_ = line_end;
    next_line_ += 1 + static_cast<size_t>(std::count(text_.begin() + static_cast<std::ptrdiff_t>(begin_),
                                                     text_.begin() + static_cast<std::ptrdiff_t>(end_), '\n'));
    next_ = end_ + 1;
    if (end_ > begin_ && text_[end_ - 1] == '\r') --end_;
    return true;
  }
}

void write_csv_value(std::string_view value, std::string* out) {
  if (find_bad_byte(value) == std::string_view::npos) {
    write_json_string(value, out);
    return;
  }
  *out += '"';
  for (const char c : value) {
    if (c == '"' || c == '\\') *out += '\\';
    if (static_cast<unsigned char>(c) < 0x20) {
      constexpr std::string_view kHex = "0123456789abcdef";
      out->append("\\u00").append(1, kHex[static_cast<unsigned char>(c) >> 4]).append(1, kHex[c & 15]);
    } else {
      *out += c;
    }
  }
  *out += '"';
}

}  // namespace fraud
