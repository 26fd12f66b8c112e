// Challengers: versions of `payments` that score each live payment beside the
// champion, on the same vector, without anybody acting on it.
#pragma once

#include <string>
#include <vector>

#include "pg/models/set_scorer.h"
#include "pg/server/spi.h"

namespace fraud::pg {

class ShadowScorer {
 public:
  explicit ShadowScorer(const SetScorer& champion) : challengers_(find_challengers(champion)) {}

  bool empty() const noexcept { return challengers_.empty(); }

  // Scores one payment's vector.
  void add(const pg_uuid_t& card, const std::string& transaction_id, TimestampTz occurred_at,
           const std::vector<float>& features);

  // Stores what was added.
  void write(Spi& spi);

 private:
  std::vector<Challenger> challengers_;
  Column cards_{UUIDOID}, ids_{TEXTOID}, times_{TIMESTAMPTZOID}, versions_{INT4OID},
      aliases_{TEXTOID}, scores_{FLOAT8OID};
};

}  // namespace fraud::pg
