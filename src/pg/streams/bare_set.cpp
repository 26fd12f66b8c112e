#include "pg/streams/bare_set.h"

namespace fraud::pg {

namespace {

Statement bare_set(
    "SELECT s.revision::text, s.events::oid::bigint, s.defined_by::text, s.event_id, s.event_time FROM fraud.feature_sets s WHERE s.feature_set = $1",
    {TEXTOID});
Statement bare_features("SELECT d.feature, d.position FROM fraud.feature_definitions d WHERE d.feature_set = $1 ORDER BY d.position", {TEXTOID});

}  // namespace

std::shared_ptr<FeatureSet> find_bare_set(Spi& spi, std::string_view name) {
  if (spi.run(bare_set, {text_param(name)}) == 0) return nullptr;
  auto set = std::make_shared<FeatureSet>();
  read_identity(spi, name, set.get());
  if (set->row_identity == 0) return nullptr;
  const uint64_t count = spi.run(bare_features, {text_param(name)});
  for (uint64_t row = 0; row < count; ++row) {
    FeatureInfo info;
    info.name = *spi.text(row, 1);
    set->features.push_back(std::move(info));
    set->places.push_back(static_cast<size_t>(*spi.integer(row, 2)) - 1);
  }
  return set;
}

}  // namespace fraud::pg
