// Fuzz target: any bytes are a compiled model, or an Error; what was opened can be
// scored by every kernel and explained.
#include "core/base/error.h"
#include "core/forest/scorer.h"
#include "core/model_file/model_reader.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <limits>
#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace {

// Returns the compiled form of a model file, or nothing.
std::string compiled(std::string_view input) {
  if (input.empty() || input[0] != '{') return {};
  try {
    return fraud::compile_model(fraud::read_model(input));
  } catch (const fraud::Error&) {
    return {};
  }
}

void use(std::string_view flat) {
  const fraud::AlignedBytes bytes(flat);
  try {
    const fraud::FlatModel model = fraud::FlatModel::open(bytes.view());
    std::vector<float> rows(2 * model.feature_count());
    for (size_t i = 0; i < rows.size(); ++i) {
      rows[i] = i % 3 == 0 ? std::numeric_limits<float>::quiet_NaN() : static_cast<float>(i) - 2;
    }
    std::vector<double> phi(model.feature_count() + 1, 0.0);
    for (const char* name : {"scalar", "avx2", "avx512"}) {
      const fraud::Kernel* kernel = fraud::find_kernel(name);
      if (kernel == nullptr) continue;
      fraud::Scorer scorer(model, *kernel);
      float margins[2];
      scorer.margins(rows.data(), 2, model.feature_count(), margins);
      const float alone = scorer.margin(rows.data());
      if (std::memcmp(&alone, &margins[0], sizeof(alone)) != 0) __builtin_trap();
      scorer.contributions(rows.data(), phi.data());
    }
  } catch (const fraud::Error&) {
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  std::string flat = compiled(input);
  if (flat.empty()) {
    use(input);
    return 0;
  }
  // Seeds are model files: what they compile to, and that with damage.
  use(flat);
  std::mt19937 random(static_cast<uint32_t>(std::hash<std::string_view>()(input)));
  for (int i = 0; i < 8; ++i) {
    std::string damaged = flat;
    damaged[random() % damaged.size()] = static_cast<char>(random());
    damaged[random() % std::min<size_t>(damaged.size(), 1024)] = static_cast<char>(random());
    use(damaged);
  }
  return 0;
}

#if defined(FRAUD_FUZZ)
extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t room);

// Turns a seed into its compiled form first, so that this is what is changed.
extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t room, unsigned) {
  const std::string flat = compiled({reinterpret_cast<const char*>(data), size});
  if (!flat.empty() && flat.size() <= room) {
    std::memcpy(data, flat.data(), flat.size());
    size = flat.size();
  }
  return LLVMFuzzerMutate(data, size, room);
}
#endif
