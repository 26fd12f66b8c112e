// How fast bodies of payments are read, a layout each, and one whose payments hold
// values that cannot be read.
#include <benchmark/benchmark.h>

#include <cstdint>
#include <string>

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
    if (batch.payments.size() != kPayments) state.SkipWithError("payments are missing");
  }
  state.SetItemsProcessed(state.iterations() * kPayments);
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(body.size()));
}

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
