// The inner loops of scoring, one set for each instruction set.
#pragma once

#include "core/base/guard.h"

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "core/forest/explain.h"
#include "core/forest/flat_model.h"
#include "core/forest/kernel_block.h"

namespace fraud {

// All kernels give the same bytes and the same sums, bit for bit.
struct Kernel {
  const char* name;

  // Writes the keys of one row (feature_count values, NaN is missing) to
  // FlatModel::key_bytes() bytes.
  void (*make_keys)(const FlatModel& model, const float* row, uint8_t* keys);

  // Adds the leaves of the trees [first, last), in order, to each of `count` sums;
  // `first` is a multiple of kTreeGroup. The keys of row i are at keys + i * stride.
  void (*add_trees)(const FlatModel& model, uint32_t first, uint32_t last, const uint8_t* keys,
                    size_t stride, size_t count, float* sums);

  // Adds a row's contributions to phi; see core/forest/explain.h.
  void (*explain)(const FlatModel& model, const uint8_t* keys, Choice* choices, double* phi);

  // Does add_trees for a block of rows and all trees; null where rows are scored one by one.
  AddBlock add_block = nullptr;
};

// Returns the kernel "scalar", "avx2" or "avx512", or null when this build or this
// machine (CPU and operating system) does not have it.
const Kernel* find_kernel(std::string_view name) noexcept;

// Returns the fastest kernel of this machine.
const Kernel& best_kernel() noexcept;

extern const Kernel kScalarKernel;
#if defined(__x86_64__)
extern const Kernel kAvx2Kernel;    // AVX2, BMI2
extern const Kernel kAvx512Kernel;  // AVX-512 F, BW and VBMI
#endif

}  // namespace fraud
