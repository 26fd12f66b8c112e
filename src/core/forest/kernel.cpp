#include "core/forest/kernel.h"

namespace fraud {

const Kernel* find_kernel(std::string_view name) noexcept {
  if (name == kScalarKernel.name) return &kScalarKernel;
#if defined(__x86_64__)
  // These ask the operating system, too, whether it saves the registers.
  if (name == kAvx2Kernel.name && __builtin_cpu_supports("avx2") &&
      __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("popcnt")) {
    return &kAvx2Kernel;
  }
  if (name == kAvx512Kernel.name && __builtin_cpu_supports("avx512f") &&
      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vbmi")) {
    return &kAvx512Kernel;
  }
#endif
  return nullptr;
}

const Kernel& best_kernel() noexcept {
  static const Kernel& best = [&]() -> const Kernel& {
    for (const char* name : {"avx512", "avx2"}) {
      if (const Kernel* kernel = find_kernel(name)) return *kernel;
    }
    return kScalarKernel;
  }();
  return best;
}

}  // namespace fraud
