// What SQL asks of a set's expressions: how they are indexed, whether they may fail.
#include "pg/features/feature_arguments.h"
#include "pg/features/feature_set.h"
#include "pg/features/index_key.h"
#include "pg/server/boundary.h"
#include "pg/server/owner_scope.h"
#include "pg/server/spi.h"

namespace fraud::pg {

namespace {

Statement has_expression(
    "SELECT 1 FROM fraud.feature_sets s WHERE s.feature_set = $1"
    " AND ($2 IN (s.event_id, s.event_time, s.label, s.label_known_at, s.label_changes)"
    "  OR EXISTS (SELECT FROM fraud.feature_definitions d WHERE d.feature_set = $1 AND $2 = ANY (d.key)))",
    {TEXTOID, TEXTOID});

// Parses an expression of a set; the arguments are both. What the set does not have would run with
// its definer's rights, or with those of whoever asks, and is refused.
FeatureExpression stored_argument(FunctionCallInfo fcinfo) {
  const std::string name = text_argument(fcinfo, 0, "feature_set"), text = text_argument(fcinfo, 1, "expression");
  const std::shared_ptr<const FeatureSet> set = find_feature_set(name, true);
  {
    OwnerScope owner;
    Spi spi;
    if (spi.run(has_expression, {text_param(name), text_param(text)}, true) == 0) {
      throw SqlError(ERRCODE_UNDEFINED_OBJECT, "feature set \"" + name + "\" has no expression \"" + text + "\"", {},
                     "fraud.feature_catalog lists the features with their expressions.");
    }
  }
  return parse_stored_expression(*set, "expression", text);
}

}  // namespace

}  // namespace fraud::pg

using namespace fraud;
using namespace fraud::pg;

FRAUD_FUNCTION(indexed_part) {
  const FeatureExpression expression = stored_argument(fcinfo);
  std::string part = indexed_part(expression.text, expression.type, expression.collation);
  if (part.empty()) {
    fcinfo->isnull = true;
    return (Datum)0;
  }
  // As Postgres prints it in an index: there it has casts, for example of a domain.
  if (part != expression.text) {
    const std::shared_ptr<const FeatureSet> set = find_feature_set(text_argument(fcinfo, 0, "feature_set"), true);
    part = qualified_part(parse_stored_expression(*set, "index", part).text);
  }
  return text_param(part).value;
}

FRAUD_FUNCTION(index_obstacle) {
  const std::string obstacle = index_obstacle(stored_argument(fcinfo));
  if (obstacle.empty()) {
    fcinfo->isnull = true;
    return (Datum)0;
  }
  return text_param(obstacle).value;
}

FRAUD_FUNCTION(may_fail) { return BoolGetDatum(stored_argument(fcinfo).may_fail); }

FRAUD_FUNCTION(expression_columns) { return text_array(stored_argument(fcinfo).columns).value; }
