// Fuzz target: any bytes are a model, or an Error; what was read can be compiled, and
// is scored alike by every kernel.
#include "core/base/error.h"
#include "core/forest/scorer.h"
#include "core/model_file/model_reader.h"

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    fraud::Forest forest =
        fraud::read_model({reinterpret_cast<const char*>(data), size});
    std::vector<float> row(forest.feature_count());
    for (size_t i = 0; i < row.size(); ++i) {
      row[i] = i % 3 == 0 ? std::numeric_limits<float>::quiet_NaN() : static_cast<float>(i) - 2;
    }
    std::vector<double> phi(row.size() + 1, 0.0);
    const fraud::AlignedBytes bytes(fraud::compile_model(forest));
    const fraud::FlatModel model = fraud::FlatModel::open(bytes.view());
    fraud::Scorer scorer(model);
    scorer.contributions(row.data(), phi.data());
    const float score = scorer.score(row.data());
    // Sums of finite leaves may overflow to an infinity; its probability is 0 or 1.
    if (forest.transform == fraud::Transform::kSigmoid && !std::isnan(score) &&
        !(score >= 0 && score <= 1)) {
      __builtin_trap();
    }
    // Every kernel gives the margin of the forest.
    const float margin = forest.margin(row.data());
    for (const char* name : {"scalar", "avx2", "avx512"}) {
      const fraud::Kernel* kernel = fraud::find_kernel(name);
      if (kernel == nullptr) continue;
      const float compiled = fraud::Scorer(model, *kernel).margin(row.data());
      if (std::memcmp(&margin, &compiled, sizeof(margin)) != 0 && !std::isnan(margin)) {
        __builtin_trap();
      }
    }
  } catch (const fraud::Error&) {
  }
  return 0;
}
