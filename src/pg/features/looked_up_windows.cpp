#include "pg/features/looked_up_windows.h"

#include "pg/features/online_features.h"
#include "pg/server/boundary.h"
#include "pg/server/owner_scope.h"
#include "pg/server/spi.h"

namespace fraud::pg {

namespace {

Statement all_indexes("SELECT coalesce(bool_and(i.present), false)::int FROM fraud.feature_indexes($1) i", {TEXTOID});

}  // namespace

bool has_all_indexes(const FeatureSet& set) {
  OwnerScope owner;
  Spi spi;
  spi.run(all_indexes, {text_param(set.name)}, true);
  return *spi.integer(0, 1) != 0;
}

void look_up_windows(const std::shared_ptr<const FeatureSet>& set, const std::vector<Datum>& rows, bool read_only, float* values) {
  const size_t windows = set->windows.size();
  MemoryContext context = protect([] { return AllocSetContextCreate(CurrentMemoryContext, "fraud_detect look-up", ALLOCSET_DEFAULT_SIZES); });
  for (size_t i = 0; i < rows.size(); ++i) {
    MemoryContext before = protect([&] {
      CHECK_FOR_INTERRUPTS();
      return MemoryContextSwitchTo(context);
    });
    Datum row = rows[i];
    HeapTupleHeader event = protect([&] { return DatumGetHeapTupleHeader(row); });
    const std::vector<float> vector = online_features(set, one_event(*set, event), read_only);
    for (size_t j = 0; j < windows; ++j) values[i * windows + j] = vector[set->window_places[j]];
    protect([&] {
      MemoryContextSwitchTo(before);
      MemoryContextReset(context);
    });
  }
  protect([&] { MemoryContextDelete(context); });
}

}  // namespace fraud::pg
