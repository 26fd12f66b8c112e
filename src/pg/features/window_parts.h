// Values of windows that are computed part by part, since the windows of all keys do not fit into
// fraud_detect.feature_memory: the events go by once for each part, in the same order, and of each
// part only the windows of its keys are there. What comes of it waits in temporary files, a file a
// part, until all parts are done; then it is read back row by row.
#pragma once

#include <string_view>
#include <vector>

#include "pg/features/event_reader.h"
#include "pg/features/feature_set.h"
#include "pg/server/server.h"

extern "C" {
#include "storage/buffile.h"
}

namespace fraud::pg {

class WindowParts {
 public:
  // The context lives as long as this.
  WindowParts(const FeatureSet& set, size_t count, MemoryContext context);
  ~WindowParts() noexcept;
  WindowParts(const WindowParts&) = delete;
  WindowParts& operator=(const WindowParts&) = delete;

  size_t count() const noexcept { return files_.size(); }
  // The part that a key's value is of.
  size_t part_of(std::string_view key) const noexcept { return std::hash<std::string_view>()(key) / 64 % files_.size(); }

  // Keeps what a part's windows gave: the keys (rows x keys) are all of the rows', the values rows x windows.
  void keep(size_t part, const std::string_view* keys, const uint64_t* marks, size_t rows, const float* values);

  // Goes back to the first row, to read.
  void rewind();
  // Gives the values of the next rows, whose keys and marks these are; false where other rows were kept.
  bool take(const std::string_view* keys, const uint64_t* marks, size_t rows, float* values);

 private:
  std::vector<std::vector<uint32_t>> windows_;  // of each key
  size_t width_;                                // of a row: how many windows there are
  std::vector<BufFile*> files_;
  std::vector<char> buffer_;
};

// What tells a row of a batch from those of the same time and id: of an order that is not the same each time.
uint64_t row_mark(const EventBatch& batch, size_t row, const std::vector<std::string_view>& keys, size_t inputs);

}  // namespace fraud::pg
