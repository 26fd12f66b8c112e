#include "core/forest/scorer.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

namespace fraud {
namespace {

// Trees that are worked on together with kBlockRows rows, so that both stay in the cache:
// 64 blocks take 24 kB.
constexpr uint32_t kTreeBlock = 64;
constexpr size_t kLeastBlockRows = 16;  // fewer are scored faster one by one than in a block

}  // namespace

AlignedBytes::AlignedBytes(size_t size) : room_(new uint8_t[size + kFlatAlignment]()), size_(size) {
  const auto address = reinterpret_cast<uintptr_t>(room_.get());
  data_ = room_.get() + (kFlatAlignment - address % kFlatAlignment) % kFlatAlignment;
}

AlignedBytes::AlignedBytes(std::string_view bytes) : AlignedBytes(bytes.size()) {
  std::memcpy(data_, bytes.data(), bytes.size());
}

Scorer::Scorer(const FlatModel& model, const Kernel& kernel)
    : model_(model), kernel_(&kernel), key_bytes_(model.key_bytes()), keys_(key_bytes_) {
  if (!std::isnan(model_.header->missing)) row_.resize(model_.feature_count());
}

const float* Scorer::present(const float* row) noexcept {
  if (row_.empty()) return row;
  for (size_t i = 0; i < row_.size(); ++i) {
    row_[i] = row[i] == model_.header->missing ? std::numeric_limits<float>::quiet_NaN() : row[i];
  }
  return row_.data();
}

float Scorer::margin(const float* row) noexcept {
  kernel_->make_keys(model_, present(row), keys_.data());
  float sum = model_.header->base_margin;
  kernel_->add_trees(model_, 0, model_.header->tree_count, keys_.data(), 0, 1, &sum);
  return sum;
}

void Scorer::margins(const float* rows, size_t count, size_t stride, float* margins) {
  if (block_.data() == nullptr) block_ = AlignedBytes(kBlockRows * key_bytes_);
  const uint32_t trees = model_.header->tree_count;
  const bool in_blocks = kernel_->add_block != nullptr && count >= kLeastBlockRows && can_add_blocks(model_);
  if (in_blocks && columns_.data() == nullptr) {
    columns_ = AlignedBytes(block_columns(model_));
    thresholds_ = AlignedBytes(block_thresholds(model_) * sizeof(uint32_t));
    spread_thresholds(model_, reinterpret_cast<uint32_t*>(thresholds_.data()));
  }
  for (size_t row = 0; row < count; row += kBlockRows) {
    const size_t part = std::min<size_t>(kBlockRows, count - row);
    for (size_t i = 0; i < part; ++i) {
      kernel_->make_keys(model_, present(rows + (row + i) * stride), block_.data() + i * key_bytes_);
      margins[row + i] = model_.header->base_margin;
    }
    if (in_blocks && part >= kLeastBlockRows) {
      float sums[kBlockRows];
      std::fill(sums, sums + kBlockRows, model_.header->base_margin);
      kernel_->add_block(model_, reinterpret_cast<const uint32_t*>(thresholds_.data()), block_.data(), key_bytes_,
                         columns_.data(), sums);
      std::copy(sums, sums + part, margins + row);
      continue;
    }
    for (uint32_t tree = 0; tree < trees; tree += kTreeBlock) {
      kernel_->add_trees(model_, tree, std::min(tree + kTreeBlock, trees), block_.data(),
                         key_bytes_, part, margins + row);
    }
  }
}

void Scorer::contributions(const float* row, double* phi) {
  kernel_->make_keys(model_, present(row), keys_.data());
  std::vector<Choice> choices(model_.feature_count());
  kernel_->explain(model_, keys_.data(), choices.data(), phi);
}

}  // namespace fraud
