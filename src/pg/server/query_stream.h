// A training matrix from a query: labelled rows in the order of the query, block
// after block.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "pg/server/server.h"

namespace fraud::pg {

// Rows of one block; valid until the next call of next().
struct QueryBlock {
  size_t rows = 0;
  const float* features = nullptr;     // rows x feature count, row by row; NaN is missing
  const float* labels = nullptr;       // 1 or 0; NaN where there is none
  const TimestampTz* times = nullptr;
};

class QueryStream {
 public:
  // The query has two parameters, from and to (timestamptz), and returns a time, a
  // label (float8) and either a float4 or float8 column a feature or one float4[] of all.
  // It is run by the current user. All in one transaction.
  QueryStream(const std::string& query, size_t features, TimestampTz from, TimestampTz to,
              size_t block_rows = 4096);
  ~QueryStream() noexcept;
  QueryStream(const QueryStream&) = delete;
  QueryStream& operator=(const QueryStream&) = delete;

  // Gives the next block; false at the end. Answers cancels.
  bool next(QueryBlock* block);

 private:
  struct Receiver;

  size_t features_, block_rows_;
  int exceptions_;
  Portal portal_ = nullptr;
  std::vector<float> values_, labels_;
  std::vector<TimestampTz> times_;
};

}  // namespace fraud::pg
