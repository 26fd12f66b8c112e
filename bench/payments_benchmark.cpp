// How fast bodies of payments are read, a layout each, one whose payments hold values that cannot
// be read, and the same payments with other names, in an envelope, by a mapping.
#include <benchmark/benchmark.h>

#include <cstdint>
#include <string>

#include "core/payments/mapping.h"
#include "core/payments/payment.h"

namespace fraud {
namespace {

constexpr int kPayments = 20000;

enum class Body { kSplit, kWrapped, kRecords, kLines, kSpoilt };

std::string card(int i) { return std::to_string(4497913965512794101 + i % 90); }
std::string id(int i) { return "3cb54a489fb351f73a7db98f6c7b" + std::to_string(10000 + i); }

std::string row(int i) {
  return "[" + card(i) + ",\"fraud_Berge, Kautzer and Harris\",\"personal_care\",60.16,\"Scott\",\"Edwards\",\"M\","
         "\"838 Amy Street Suite 107\",\"Pembroke\",\"NC\",28372,34.6902,-79.1834,14783,\"Hospital doctor\","
         "\"1955-11-07\",\"" + id(i) + "\",34.38451,-78.621062,0,1730134684025]";
}

std::string object(int i, const std::string& latitude) {
  return "{\"cc_num\":" + card(i) + ",\"merchant\":\"fraud_Berge, Kautzer and Harris\",\"category\":\"personal_care\","
         "\"amt\":60.16,\"first\":\"Scott\",\"last\":\"Edwards\",\"gender\":\"M\",\"street\":\"838 Amy Street Suite 107\","
         "\"city\":\"Pembroke\",\"state\":\"NC\",\"zip\":28372,\"lat\":34.6902,\"long\":-79.1834,\"city_pop\":14783,"
         "\"job\":\"Hospital doctor\",\"dob\":\"1955-11-07\",\"trans_num\":\"" + id(i) + "\",\"merch_lat\":" + latitude +
         ",\"merch_long\":-78.621062,\"is_fraud\":0,\"current_time\":1730134684025}";
}

std::string make(Body body) {
  std::string text;
  if (body == Body::kSplit || body == Body::kWrapped) {
    text = "{\"columns\":[\"cc_num\",\"merchant\",\"category\",\"amt\",\"first\",\"last\",\"gender\",\"street\",\"city\","
           "\"state\",\"zip\",\"lat\",\"long\",\"city_pop\",\"job\",\"dob\",\"trans_num\",\"merch_lat\",\"merch_long\","
           "\"is_fraud\",\"current_time\"],\"index\":[],\"data\":[";
    for (int i = 0; i < kPayments; ++i) text += (i > 0 ? "," : "") + row(i);
    text += "]}";
    if (body == Body::kSplit) return text;
    std::string wrapped = "\"";
    for (const char c : text) {
      if (c == '"') wrapped += '\\';
      wrapped += c;
    }
    return wrapped + "\"";
  }
  for (int i = 0; i < kPayments; ++i) {
    if (body == Body::kLines) {
      text += object(i, "34.38451") + "\n";
    } else {
      text += (i > 0 ? "," : "[") + object(i, body == Body::kSpoilt ? "NaN" : "34.38451");
    }
  }
  return body == Body::kLines ? text : text + "]";
}

void read(benchmark::State& state) {
  const std::string body = make(static_cast<Body>(state.range(0)));
  for (auto _ : state) {
    const PaymentBatch batch = read_payments(body);
    benchmark::DoNotOptimize(batch.payments.data());
    if (batch.payments.size() != kPayments) state.SkipWithError(batch.rejected.empty() ? "payments are missing" : batch.rejected[0].reason.c_str());
  }
  state.SetItemsProcessed(state.iterations() * kPayments);
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(body.size()));
}

// Of a payment of the records each field is within another object, the time is a text, and three
// members are nobody's.
std::string nested(int i) {
  std::string text = object(i, "34.38451");
  const auto replace = [&](std::string_view from, std::string_view to) { text.replace(text.find(from), from.size(), to); };
  replace("{\"cc_num\":", "{\"card\":{\"brand\":\"visa\",\"pan\":");
  replace(",\"merchant\":", "},\"shop\":{\"name\":");
  replace(",\"amt\":", "},\"amount\":{\"currency\":\"USD\",\"value\":");
  replace(",\"first\":", "},\"customer\":{\"first\":");
  replace(",\"trans_num\":", "},\"device\":{\"id\":\"d-1\",\"os\":\"x\"},\"id\":");
  replace("\"current_time\":1730134684025", "\"at\":\"2024-10-28T16:58:04.025Z\"");
  return text;
}

std::string make_nested() {
  std::string text = "{\"status\":\"ok\",\"data\":{\"transactions\":[";
  for (int i = 0; i < kPayments; ++i) text += (i > 0 ? "," : "") + nested(i);
  return text + "]}}";
}

Mapping nested_mapping() {
  Mapping mapping;
  mapping.payments = {{"data"}, {"transactions"}};
  const auto add = [&](const char* name, std::vector<PathStep> steps) {
    FieldRule rule;
    rule.name = name;
    rule.path = "$";
    rule.steps = std::move(steps);
    mapping.rules.push_back(std::move(rule));
  };
  add("cc_num", {{"card"}, {"pan"}});
  add("merchant", {{"shop"}, {"name"}});
  add("category", {{"shop"}, {"category"}});
  add("amt", {{"amount"}, {"value"}});
  add("currency", {{"amount"}, {"currency"}});
  for (const char* name : {"first", "last", "gender", "street", "city", "state", "zip", "lat", "long", "city_pop", "job", "dob"}) add(name, {{"customer"}, {name}});
  for (const char* name : {"merch_lat", "merch_long", "is_fraud"}) add(name, {{name}});
  add("trans_num", {{"id"}});
  add("trans_date_trans_time", {{"at"}});
  mapping.rules.back().time = TimeFormat::kIso8601;
  return mapping;
}

void read_mapped(benchmark::State& state) {
  const std::string body = make_nested();
  const Mapping mapping = nested_mapping();
  for (auto _ : state) {
    const PaymentBatch batch = read_payments(body, PaymentFormat::kAuto, &mapping);
    benchmark::DoNotOptimize(batch.payments.data());
    if (batch.payments.size() != kPayments) state.SkipWithError(batch.rejected.empty() ? "payments are missing" : batch.rejected[0].reason.c_str());
  }
  state.SetItemsProcessed(state.iterations() * kPayments);
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(body.size()));
}

void read_csv(benchmark::State& state) {
  std::string body = "cc_num,merchant,category,amt,first,last,gender,street,city,state,zip,lat,long,city_pop,job,dob,trans_num,merch_lat,merch_long,is_fraud,current_time\n";
  for (int i = 0; i < kPayments; ++i) {
    const std::string values = row(i);
    body += values.substr(1, values.size() - 2) + "\n";
  }
  for (auto _ : state) {
    const PaymentBatch batch = read_payments(body, PaymentFormat::kCsv);
    benchmark::DoNotOptimize(batch.payments.data());
    if (batch.payments.size() != kPayments) state.SkipWithError(batch.rejected.empty() ? "payments are missing" : batch.rejected[0].reason.c_str());
  }
  state.SetItemsProcessed(state.iterations() * kPayments);
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(body.size()));
}

BENCHMARK(read_mapped)->Unit(benchmark::kMillisecond);
BENCHMARK(read_csv)->Unit(benchmark::kMillisecond);
BENCHMARK(read)
    ->Arg(static_cast<int>(Body::kSplit))
    ->Arg(static_cast<int>(Body::kWrapped))
    ->Arg(static_cast<int>(Body::kRecords))
    ->Arg(static_cast<int>(Body::kLines))
    ->Arg(static_cast<int>(Body::kSpoilt))
    ->ArgName("split/wrapped/records/lines/spoilt")
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace fraud

BENCHMARK_MAIN();
