// What one call of a scoring function in a query keeps from row to row: the model,
// and how the row's columns become features.
#pragma once

#include "core/forest/scorer.h"

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pg/features/feature_set.h"
#include "pg/models/model_lookup.h"

namespace fraud::pg {

class CallSite {
 public:
  // Returns the call site of fcinfo, which lives as long as the function's lookup
  // information, that is: as long as the query.
  static CallSite& of(FunctionCallInfo fcinfo);

  // Makes sure that the call site has the model that is named, as of the active
  // snapshot.
  void resolve(text* ref);

  // These take one row's features in: from a float4[], a jsonb object, a row, a
  // payment's stored vector, and from the arguments of fcinfo from `first` on, whose
  // names are given. Each throws SqlError for what does not match the model.
  void read_array(Datum value);
  void read_jsonb(Datum value);
  void read_record(Datum value);
  void read_stored_vector(Datum value, bool null);
  // From then on stored vectors are those of a feature set's events, by default payments; throws where it lacks what the model needs.
  void take_stored_of(std::string_view set);
  void read_arguments(FunctionCallInfo fcinfo, int first, Datum names);  // as a stranger gives them

  // The same for rows of a block: the columns of row i are values[attributes[a] - 1] of the arguments a behind
  // the names, which `call` has, with their types. Sites that have rows of blocks have no others.
  void begin_block(FunctionCallInfo call);
  void read_block_row(size_t i, const Datum* values, const bool* nulls, const int16* attributes);
  // Writes the scores of the first `count` rows of the block.
  void score_block(size_t count, double* scores);
  static constexpr size_t kMostBlockRows = 64;

  float score() noexcept { return scorer_->score(row_.data()); }

  const FlatModel& model() const noexcept { return *resolved_.flat; }
  const std::vector<float>& row() const noexcept { return row_; }
  // The name of the category that a feature's value is the code of, by the feature set that the model was
  // made for; empty of other features, and where there is no such set any more.
  std::string category_of(size_t feature);
  std::vector<double> contributions();

 private:
  // How a value becomes a feature.
  enum class Kind { kFloat4, kFloat8, kInt2, kInt4, kInt8, kNumeric, kBool };

  struct Source {
    int place;  // of the column or argument
    Kind kind;
  };

  explicit CallSite(MemoryContext context) : context_(context) {}

  static std::optional<Kind> kind_of(Oid type);
  static float to_float(Datum value, Kind kind);
  Source source_of(const std::string& name, int place, Oid type) const;
  [[noreturn]] void throw_missing(const std::vector<std::string>& missing) const;
  void map_stored_vector();
  [[noreturn]] void throw_not_stored(int size) const;
  void map_columns(Oid type, int32 typmod);
  void map_arguments(FunctionCallInfo fcinfo, int first, ArrayType* names);

  MemoryContext context_;
  std::string ref_;
  bool is_resolved_ = false;
  SnapshotMark mark_;
  ResolvedModel resolved_;
  std::unique_ptr<Scorer> scorer_;
  std::vector<float> row_;
  std::vector<float> block_, margins_;  // of kMostBlockRows rows

  bool is_mapped_ = false;       // arguments
  std::string names_;            // the array, that sources_ was made for
  std::vector<Source> sources_;  // by feature
  std::string stored_set_ = "payments";
  bool is_stored_mapped_ = false;
  std::vector<int> stored_place_;  // by feature: place in a stored vector of the set's
  bool knows_set_ = false;
  std::shared_ptr<const FeatureSet> set_;  // may be null
  int stored_size_ = 0;            // values that the vector must have at least

  Oid row_type_ = InvalidOid;  // that sources_ was made for
  int32 row_typmod_ = -1;
  uint64 row_shape_ = 0;  // changes when the type is altered
  TupleDesc descriptor_ = nullptr;  // a copy in context_
  int vector_attribute_ = -1;       // of a row of fraud.transactions
  std::vector<Datum> values_;
  std::unique_ptr<bool[]> nulls_;
};

}  // namespace fraud::pg
