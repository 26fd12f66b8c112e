// The training matrix on disk: written once, read several times, since XGBoost
// makes several passes over it. Memory holds a block and the labels.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace fraud {

class Spool {
 public:
  // Makes a file without a name in the directory. Throws std::runtime_error.
  Spool(const std::string& directory, size_t columns);
  ~Spool();
  Spool(const Spool&) = delete;
  Spool& operator=(const Spool&) = delete;

  // Appends rows of float32 values.
  void append(const float* values, const float* labels, size_t rows);

  // Ends the writing. Values can be read from then on.
  void finish();

  size_t rows() const noexcept { return labels_.size(); }
  size_t columns() const noexcept { return columns_; }
  const float* values() const noexcept { return values_; }  // rows() x columns(), mapped
  const std::vector<float>& labels() const noexcept { return labels_; }

  // Tells the kernel that these rows need not stay in memory.
  void forget(size_t begin, size_t end) const noexcept;

 private:
  int file_ = -1;
  size_t columns_;
  std::vector<float> labels_;
  const float* values_ = nullptr;
};

}  // namespace fraud
