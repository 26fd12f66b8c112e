// What is left of a stream's feature set where it cannot be computed any more.
#pragma once

#include <memory>
#include <string_view>

#include "pg/features/feature_set.h"
#include "pg/server/spi.h"

namespace fraud::pg {

// Returns the set with its table, the names and places of its features, and how events are called, but nothing that could be
// computed; null where there is no such set, or no such table.
std::shared_ptr<FeatureSet> find_bare_set(Spi& spi, std::string_view name);

}  // namespace fraud::pg
