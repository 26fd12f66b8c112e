#include "pg/features/window_parts.h"

#include <algorithm>
#include <exception>
#include <limits>

#include "pg/server/boundary.h"
#include "pg/server/temporary_file.h"

namespace fraud::pg {

namespace {

constexpr float kMissing = std::numeric_limits<float>::quiet_NaN();

}  // namespace

WindowParts::WindowParts(const FeatureSet& set, size_t count, MemoryContext context)
    : windows_(set.keys.size()), width_(set.windows.size()), files_(count) {
  for (size_t i = 0; i < set.windows.size(); ++i) windows_[set.windows[i].key].push_back(static_cast<uint32_t>(i));
  protect([&] {
    MemoryContext old = MemoryContextSwitchTo(context);
    for (BufFile*& file : files_) file = BufFileCreateTemp(false);
    MemoryContextSwitchTo(old);
  });
}

WindowParts::~WindowParts() noexcept {
  if (std::uncaught_exceptions() > 0) return;  // the abort closes them
  for (BufFile* file : files_) BufFileClose(file);
}

void WindowParts::keep(size_t part, const std::string_view* keys, const uint64_t* marks, size_t rows, const float* values) {
  buffer_.clear();
  const auto add = [this](const auto& value) {
    const auto* bytes = reinterpret_cast<const char*>(&value);
    buffer_.insert(buffer_.end(), bytes, bytes + sizeof(value));
  };
  for (size_t row = 0; row < rows; ++row) {
    if (part == 0) add(marks[row]);
    for (size_t key = 0; key < windows_.size(); ++key) {
      const std::string_view name = keys[row * windows_.size() + key];
      if (name.data() == nullptr || part_of(name) != part) continue;
      for (uint32_t window : windows_[key]) add(values[row * width_ + window]);
    }
  }
  protect([&] {
    CHECK_FOR_INTERRUPTS();
    BufFileWrite(files_[part], buffer_.data(), buffer_.size());
  });
}

void WindowParts::rewind() {
  protect([this] {
    for (BufFile* file : files_) go_back(file);
  });
}

bool WindowParts::take(const std::string_view* keys, const uint64_t* marks, size_t rows, float* values) {
  std::fill_n(values, rows * width_, kMissing);
  return protect([&] {
    for (size_t row = 0; row < rows; ++row) {
      uint64_t mark;
      read_exactly(files_[0], &mark, sizeof(mark));
      if (mark != marks[row]) return false;
      for (size_t key = 0; key < windows_.size(); ++key) {
        const std::string_view& name = keys[row * windows_.size() + key];
        if (name.data() == nullptr) continue;
        BufFile* file = files_[part_of(name)];
        for (uint32_t window : windows_[key]) read_exactly(file, values + row * width_ + window, sizeof(float));
      }
    }
    return true;
  });
}

uint64_t row_mark(const EventBatch& batch, size_t row, const std::vector<std::string_view>& keys, size_t inputs) {
  uint64_t mark = static_cast<uint64_t>(batch.times[row]);
  const auto add = [&mark](uint64_t value) { mark = (mark ^ value) * 0x9E3779B97F4A7C15 + (mark >> 29); };
  for (const std::string_view& key : keys) add(key.data() == nullptr ? 0 : std::hash<std::string_view>()(key));
  for (size_t i = 0; i < inputs; ++i) add(batch.cells[row * inputs + i]);
  return mark;
}

}  // namespace fraud::pg
