#include "pg/features/feature_categories.h"

#include <algorithm>

#include "core/payments/mask.h"
#include "pg/features/feature_arguments.h"
#include "pg/features/feature_definition.h"
#include "pg/features/feature_set.h"
#include "pg/server/audit.h"
#include "pg/server/owner_scope.h"
#include "pg/server/spi.h"

namespace fraud::pg {

namespace {

constexpr int kMostCategories = 65536;

Statement insert_categories(
    "INSERT INTO fraud.feature_categories (feature_set, feature, code, category)"
    " SELECT $1, $2, coalesce((SELECT max(c.code) FROM fraud.feature_categories c"
    "   WHERE c.feature_set = $1 AND c.feature = $2), -1) + n.i, n.category"
    " FROM (SELECT n.category, row_number() OVER (ORDER BY min(n.i)) AS i"
    "   FROM unnest($3) WITH ORDINALITY n(category, i)"
    "   WHERE NOT EXISTS (SELECT FROM fraud.feature_categories c"
    "     WHERE c.feature_set = $1 AND c.feature = $2 AND c.category = n.category)"
    "   GROUP BY n.category) n",
    {TEXTOID, TEXTOID, TEXTARRAYOID});
Statement renew_set(
    "UPDATE fraud.feature_sets s SET revision = gen_random_uuid() WHERE s.feature_set = $1", {TEXTOID});
Statement count_categories(
    "SELECT count(*) FROM fraud.feature_categories c WHERE c.feature_set = $1 AND c.feature = $2",
    {TEXTOID, TEXTOID});
Statement feature_kind(
    "SELECT d.kind, d.expression FROM fraud.feature_definitions d WHERE d.feature_set = $1 AND d.feature = $2",
    {TEXTOID, TEXTOID});

}  // namespace

// The values that the events hold now, in order.
std::vector<std::string> categories_in_events(const std::string& set_name, const std::string& expression) {
  std::shared_ptr<const FeatureSet> set = find_feature_set(set_name, false);
  DefinerScope definer(*set);
  const std::string value = "(" + expression + ")::pg_catalog.text COLLATE pg_catalog.\"C\"";
  const std::string query = "SELECT DISTINCT " + value + set->from_clause() + " WHERE (" + expression +
                            ") IS NOT NULL ORDER BY 1 LIMIT " + std::to_string(kMostCategories + 1);
  Spi spi;
  const uint64_t count = spi.run(query);
  std::vector<std::string> categories;
  for (uint64_t row = 0; row < count; ++row) categories.push_back(spi.text(row, 1).value_or(""));
  return categories;
}

std::vector<std::string> categories_argument(FunctionCallInfo fcinfo, int index) {
  Datum* values = nullptr;
  bool* nulls = nullptr;
  int count = 0;
  protect([&] {
    deconstruct_array(PG_GETARG_ARRAYTYPE_P(index), TEXTOID, -1, false, TYPALIGN_INT, &values, &nulls, &count);
  });
  std::vector<std::string> texts;
  for (int i = 0; i < count; ++i) {
    if (nulls[i]) throw SqlError(ERRCODE_NULL_VALUE_NOT_ALLOWED, "categories must not contain nulls");
    Datum value = values[i];
    const char* item = protect([&] { return TextDatumGetCString(value); });
    texts.emplace_back(item);
  }
  return texts;
}

int64_t add_categories(const std::string& set, const std::string& feature, const std::vector<std::string>& categories) {
  // They would be kept as they are, for all to read who see feature sets.
  if (std::any_of(categories.begin(), categories.end(), [](const std::string& one) { return holds_card_number(one); })) {
    throw SqlError(ERRCODE_INVALID_PARAMETER_VALUE, "categories of feature \"" + feature + "\" hold what may be a card number", {},
                   "A card is a key for window features rather than a category.");
  }
  OwnerScope owner;
  Spi spi;
  const auto made = static_cast<int64_t>(
      spi.run(insert_categories, {text_param(set), text_param(feature), text_array(categories)}));
  // The set may have been read meanwhile, to look for categories.
  spi.run(renew_set, {text_param(set)});
  spi.run(count_categories, {text_param(set), text_param(feature)});
  if (*spi.integer(0, 1) > kMostCategories) {
    throw SqlError(ERRCODE_PROGRAM_LIMIT_EXCEEDED,
                   "feature \"" + feature + "\" has more than " + std::to_string(kMostCategories) + " categories",
                   {}, "What has so many values is a key for window features rather than a category.");
  }
  return made;
}

}  // namespace fraud::pg

using namespace fraud;
using namespace fraud::pg;

FRAUD_FUNCTION(add_categories) {
  const std::string set = text_argument(fcinfo, 0, "feature_set");
  const std::string feature = text_argument(fcinfo, 1, "feature");
  open_set(set, "add_categories");
  std::string expression;
  {
    OwnerScope owner;
    Spi spi;
    if (spi.run(feature_kind, {text_param(set), text_param(feature)}) == 0) {
      throw SqlError(ERRCODE_UNDEFINED_OBJECT, "feature set \"" + set + "\" has no feature \"" + feature + "\"", {},
                     "fraud.feature_catalog lists the features of each set.");
    }
    if (*spi.text(0, 1) == "number") {
      throw SqlError(ERRCODE_WRONG_OBJECT_TYPE, "feature \"" + feature + "\" is a number and has no categories", {},
                     "Those of kind category and code have some; fraud.feature_catalog says which these are.");
    }
    expression = *spi.text(0, 2);
  }
  const int64_t made = add_categories(
      set, feature, PG_ARGISNULL(2) ? categories_in_events(set, expression) : categories_argument(fcinfo, 2));
  note_act("alter", "feature", set + "." + feature, "{\"categories_added\": " + std::to_string(made) + "}");
  return Int32GetDatum(static_cast<int32_t>(made));
}
