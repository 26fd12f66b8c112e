// Prints simulated payments on standard output, in time order: as the payment
// API's objects, one a line, or as a CSV file in the Kaggle layout.
#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <exception>
#include <limits>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/payments/payment_writer.h"
#include "core/payments/simulator.h"

namespace {

using fraud::Payment;

constexpr int64_t kSecondUs = 1000000;
constexpr int64_t kDaySeconds = 24 * 3600;

constexpr char kHelp[] =
    "usage: simulate [OPTION VALUE]...\n"
    "Prints simulated payments with known fraud, in time order.\n"
    "\n"
    "  --customers N   number of customers (default 1000)\n"
    "  --merchants N   number of merchants (default 300)\n"
    "  --days N        number of simulated days (default 90)\n"
    "  --seed N        seed: the same options print the same payments (default 1)\n"
    "  --start T       the first day's midnight UTC, in seconds since the epoch\n"
    "                  (default 1735689600, 2025-01-01)\n"
    "  --from T        print payments at or after T only\n"
    "  --until T       print payments before T only\n"
    "  --format F      ndjson (default), or csv\n"
    "  --help          print this help\n"
    "\n"
    "A longer --days only adds later payments. The printed text is held in memory\n"
    "until it is sorted: about half a kilobyte a payment.\n"
    "Exit status: 0 done, 1 the output could not be written, 2 a wrong option.\n";

// A mistake in the options.
struct UsageError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct Options {
  fraud::SimulatorConfig config;
  int64_t from = std::numeric_limits<int64_t>::min();
  int64_t until = std::numeric_limits<int64_t>::max();
  bool csv = false;
  bool help = false;
};

template <typename Integer>
Integer parse_integer(std::string_view option, std::string_view text) {
  Integer value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) {
    throw UsageError("invalid value for " + std::string(option) + ": \"" + std::string(text) +
                     "\"");
  }
  return value;
}

Options parse_options(const std::vector<std::string_view>& arguments) {
  Options options;
  int64_t start = 1735689600;
  for (size_t i = 0; i < arguments.size(); ++i) {
    const std::string_view name = arguments[i];
    if (name == "--help" || name == "-h") {
      options.help = true;
      return options;
    }
    const bool known = name == "--customers" || name == "--merchants" || name == "--days" ||
                       name == "--seed" || name == "--start" || name == "--from" ||
                       name == "--until" || name == "--format";
    if (!known) throw UsageError("unknown option: \"" + std::string(name) + "\"");
    if (++i == arguments.size()) throw UsageError("missing value for " + std::string(name));
    const std::string_view value = arguments[i];
    if (name == "--customers") options.config.customers = parse_integer<int>(name, value);
    if (name == "--merchants") options.config.merchants = parse_integer<int>(name, value);
    if (name == "--days") options.config.days = parse_integer<int>(name, value);
    if (name == "--seed") options.config.seed = parse_integer<uint64_t>(name, value);
    if (name == "--start") start = parse_integer<int64_t>(name, value);
    if (name == "--from") options.from = parse_integer<int64_t>(name, value);
    if (name == "--until") options.until = parse_integer<int64_t>(name, value);
    if (name == "--format") {
      if (value != "ndjson" && value != "csv") {
        throw UsageError("format must be \"ndjson\" or \"csv\", not \"" + std::string(value) +
                         "\"");
      }
      options.csv = value == "csv";
    }
  }
  // Kept in range here so that the product is; the simulator has the last word.
  if (start < 0 || start > int64_t{1} << 40) {
    throw UsageError("start must be between 1970-01-01 and 2100-01-01");
  }
  options.config.start_us = start * kSecondUs;
  return options;
}

std::string time_text(int64_t seconds) {
  const int64_t day = seconds / kDaySeconds;
  const auto of_day = static_cast<int>(seconds % kDaySeconds);
  char text[16];
  std::snprintf(text, sizeof text, " %02d:%02d:%02d", of_day / 3600, of_day / 60 % 60, of_day % 60);
  return fraud::format_date(static_cast<int32_t>(day)) + text;
}

// Returns the shortest text that reads back as the same number.
std::string number_text(double value) {
  char text[32];
  const auto end = std::to_chars(text, text + sizeof text, value).ptr;
  return {text, end};
}

std::string amount_text(int64_t cents) {
  char text[32];
  std::snprintf(text, sizeof text, "%lld.%02d", static_cast<long long>(cents / 100),
                static_cast<int>(cents % 100));
  return text;
}

// Returns a zip code as the number that the payment API makes of it.
std::string zip_text(const std::string& zip) {
  const size_t digit = zip.find_first_not_of('0');
  return digit == std::string::npos ? "0" : zip.substr(digit);
}

// Returns a text field of a CSV record, quoted where RFC 4180 demands it.
std::string csv_text(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char character : text) {
    if (character == '"') quoted += '"';
    quoted += character;
  }
  return quoted += '"';
}

std::string json_text(const std::string& text) { return nlohmann::json(text).dump(); }

// One field of a record: its name in a layout, and its text there.
struct Field {
  const char* name;
  std::string text;
};

// Appends the payment as one of the payment API's objects.
void append_ndjson(const Payment& payment, std::string* out) {
  const Field fields[] = {
      {"cc_num", payment.card_number},
      {"merchant", json_text("fraud_" + payment.merchant)},
      {"category", json_text(payment.category)},
      {"amt", amount_text(payment.amount_minor)},
      {"first", json_text(payment.first_name)},
      {"last", json_text(payment.last_name)},
      {"gender", json_text(payment.gender)},
      {"street", json_text(payment.street)},
      {"city", json_text(payment.city)},
      {"state", json_text(payment.state)},
      {"zip", zip_text(payment.zip)},
      {"lat", number_text(*payment.latitude)},
      {"long", number_text(*payment.longitude)},
      {"city_pop", std::to_string(*payment.city_population)},
      {"job", json_text(payment.job)},
      {"dob", json_text(fraud::format_date(*payment.date_of_birth))},
      {"trans_num", json_text(payment.transaction_id)},
      {"merch_lat", number_text(*payment.merchant_latitude)},
      {"merch_long", number_text(*payment.merchant_longitude)},
      {"is_fraud", *payment.is_fraud ? "1" : "0"},
      {"current_time", std::to_string(*payment.occurred_at_us / 1000)},
  };
  char separator = '{';
  for (const Field& field : fields) {
    out->append(1, separator).append(1, '"').append(field.name).append("\":").append(field.text);
    separator = ',';
  }
  out->append("}\n");
}

constexpr char kCsvHeader[] =
    ",trans_date_trans_time,cc_num,merchant,category,amt,first,last,gender,street,city,state,zip,"
    "lat,long,city_pop,job,dob,trans_num,unix_time,merch_lat,merch_long,is_fraud\n";

// Appends the payment as a record of the Kaggle file, without the leading row
// number, which is known only when all payments are in order.
void append_csv(const Payment& payment, std::string* out) {
  const int64_t seconds = *payment.occurred_at_us / kSecondUs;
  const std::string fields[] = {
      time_text(seconds),
      payment.card_number,
      csv_text("fraud_" + payment.merchant),
      csv_text(payment.category),
      amount_text(payment.amount_minor),
      csv_text(payment.first_name),
      csv_text(payment.last_name),
      csv_text(payment.gender),
      csv_text(payment.street),
      csv_text(payment.city),
      csv_text(payment.state),
      zip_text(payment.zip),
      number_text(*payment.latitude),
      number_text(*payment.longitude),
      std::to_string(*payment.city_population),
      csv_text(payment.job),
      fraud::format_date(*payment.date_of_birth),
      payment.transaction_id,
      std::to_string(seconds),
      number_text(*payment.merchant_latitude),
      number_text(*payment.merchant_longitude),
      *payment.is_fraud ? "1" : "0",
  };
  for (const std::string& field : fields) out->append(",").append(field);
  out->append("\n");
}

// A printed payment: its place in the order, and its text in the buffer.
struct Line {
  int64_t time_us;
  std::string id;
  size_t offset, length;
};

[[noreturn]] void fail_to_write() {
  throw std::runtime_error(std::string("could not write the payments: ") + std::strerror(errno));
}

void write(std::string_view text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size()) fail_to_write();
}

void run(const Options& options) {
  const fraud::Simulator simulator(options.config);
  std::string text;
  std::vector<Line> lines;
  for (int customer = 0; customer < options.config.customers; ++customer) {
    for (const fraud::SimulatedPayment& simulated : simulator.customer(customer)) {
      const Payment& payment = simulated.payment;
      // Whole seconds decide exactly, since the bounds are whole seconds.
      const int64_t second = *payment.occurred_at_us / kSecondUs;
      if (second < options.from || second >= options.until) continue;
      const size_t offset = text.size();
      options.csv ? append_csv(payment, &text) : append_ndjson(payment, &text);
      lines.push_back(
          {*payment.occurred_at_us, payment.transaction_id, offset, text.size() - offset});
    }
  }
  std::sort(lines.begin(), lines.end(), [](const Line& left, const Line& right) {
    return left.time_us != right.time_us ? left.time_us < right.time_us : left.id < right.id;
  });

  if (options.csv) write(kCsvHeader);
  size_t number = 0;
  for (const Line& line : lines) {
    if (options.csv) write(std::to_string(number++));
    write(std::string_view(text).substr(line.offset, line.length));
  }
  if (std::fflush(stdout) != 0) fail_to_write();
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const Options options = parse_options({argv + 1, argv + argc});
    if (options.help) {
      std::fputs(kHelp, stdout);
      return 0;
    }
    run(options);
    return 0;
  } catch (const UsageError& error) {
    std::fprintf(stderr, "simulate: %s\nTry \"simulate --help\".\n", error.what());
    return 2;
  } catch (const fraud::Error& error) {
    std::fprintf(stderr, "simulate: %s\n", error.what());
    return 2;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "simulate: %s\n", error.what());
    return 1;
  }
}
