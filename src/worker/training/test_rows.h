// Rows kept for the test of a trained model, in a temporary file of the server's.
#pragma once

#include <cstdint>
#include <exception>
#include <vector>

#include "pg/server/boundary.h"

extern "C" {
#include "miscadmin.h"
#include "storage/buffile.h"
}

namespace fraud::worker {

class TestRows {
 public:
  TestRows() = default;
  ~TestRows() noexcept {
    if (file_ != nullptr && std::uncaught_exceptions() == 0) BufFileClose(file_);
  }
  TestRows(const TestRows&) = delete;
  TestRows& operator=(const TestRows&) = delete;

  void add(float label, const float* values, size_t count) {
    pg::protect([&] {
      if (file_ == nullptr) {
        MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);
        file_ = BufFileCreateTemp(true);
        MemoryContextSwitchTo(old);
      }
      BufFileWrite(file_, &label, sizeof(label));
      BufFileWrite(file_, const_cast<float*>(values), count * sizeof(float));
    });
    ++rows_;
  }

  // Calls visit(label, values) for each row.
  template <typename Visit>
  void each(size_t count, Visit visit) {
    if (file_ == nullptr) return;
    std::vector<float> row(count + 1);
    pg::protect([&] { (void)BufFileSeek(file_, 0, 0, SEEK_SET); });
    for (int64_t i = 0; i < rows_; ++i) {
      float* room = row.data();
      size_t bytes = row.size() * sizeof(float);
      pg::protect([&] {
        if (BufFileRead(file_, room, bytes) != bytes) elog(ERROR, "could not read back a temporary file");
        CHECK_FOR_INTERRUPTS();
      });
      visit(row[0], row.data() + 1);
    }
  }

 private:
  BufFile* file_ = nullptr;
  int64_t rows_ = 0;
};

}  // namespace fraud::worker
