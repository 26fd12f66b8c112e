#include "pg/features/tile_shape.h"

#include "pg/server/boundary.h"

extern "C" {
#include "utils/fmgrprotos.h"
}

namespace fraud::pg {

TileShapes::TileShapes(const OnlineSet& online) : readers(online.set->keys.size()) {
  const FeatureSet& set = *online.set;
  std::string all;
  auto add = [&all](const std::string& part) { all += std::to_string(part.size()) + ":" + part; };
  for (const std::string& text : {set.time, set.id, set.label_as_boolean, set.known_at, set.label_changes}) add(text);
  add(std::to_string(set.relation));
  add(std::to_string(set.label_delay_us));
  for (const FeatureSet::Input& input : set.inputs) {
    add(input.sql);
    add(input.hashed ? "hashed" : "number");
  }
  for (size_t key = 0; key < set.keys.size(); ++key) {
    const KeyPlan& plan = online.engine.plan(key);
    keys.emplace_back(plan);
    readers[key] = online.readings[key].reader == key && !plan.empty();
    for (const std::string& part : set.keys[key].parts) add(part);
    add(std::to_string(online.readings[key].reader));
    add(std::to_string(plan.reach_us()) + "/" + std::to_string(plan.least_delay_us()));
    add(keys.back().signature());
  }
  const std::string_view bytes = all;
  const std::string_view digested = protect([&] {
    Datum value = PointerGetDatum(cstring_to_text_with_len(bytes.data(), static_cast<int>(bytes.size())));
    varlena* sum = PG_DETOAST_DATUM_PACKED(DirectFunctionCall1(sha256_bytea, value));
    return std::string_view(VARDATA_ANY(sum), static_cast<size_t>(VARSIZE_ANY_EXHDR(sum)));
  });
  digest = std::string(digested);
}

}  // namespace fraud::pg
