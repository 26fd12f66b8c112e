// fraud.import_model and fraud.export_model.
#include "core/forest/flat_model.h"

#include <cmath>
#include <cstdio>
#include <algorithm>
#include <cctype>
#include <set>

#include "core/model_file/model_reader.h"
#include "core/payments/mask.h"
#include "pg/models/model_lookup.h"
#include "pg/models/model_store.h"
#include "pg/server/arguments.h"
#include "pg/server/audit.h"
#include "pg/server/boundary.h"
#include "pg/server/owner_scope.h"
#include "pg/server/spi.h"

namespace fraud::pg {

namespace {

Statement insert_model("INSERT INTO fraud.models (model) VALUES ($1) ON CONFLICT DO NOTHING",
                       {TEXTOID});
Statement lock_model("SELECT fraud._lock_model($1)", {TEXTOID});
Statement insert_version(
    "INSERT INTO fraud.model_versions (model, version, digest, feature_names, trees, iterations,"
    "  objective, xgboost_version, description, artifact, feature_set, feature_set_hash)"
    " SELECT $1, coalesce(max(v.version), 0) + 1, sha256($2), $3, $4, $5, $6, $7,"
    "  fraud._mask_card_numbers($8), $2, $9, $10"
    // A deleted version's number is not given again.
    " FROM (SELECT model, version FROM fraud.model_versions"
    "  UNION ALL SELECT model, version FROM fraud.deleted_versions) v"
    " WHERE v.model = $1 RETURNING version",
    {TEXTOID, BYTEAOID, TEXTARRAYOID, INT4OID, INT4OID, TEXTOID, TEXTOID, TEXTOID, TEXTOID,
     TEXTOID});
Statement note_import(
    "SELECT fraud._audit('import', 'model', v.model || '/' || v.version, NULL, fraud._shown_version(v))"
    " FROM fraud.model_versions v WHERE v.model = $1 AND v.version = $2",
    {TEXTOID, INT4OID});
Statement features_of_set(
    "SELECT d.hash, n.name FROM fraud._training_features($1) d, unnest(d.features) WITH ORDINALITY n(name, place)"
    " ORDER BY n.place",
    {TEXTOID});

void check_name(std::string_view name) {
  if (holds_card_number(name)) {
    throw SqlError(ERRCODE_INVALID_NAME, "the name of a model must not hold a card number");
  }
  bool sound = !name.empty() && name.size() <= 63 && std::all_of(name.begin(), name.end(), [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '.' || c == '-';
  });
  if (!sound) {
    throw SqlError(ERRCODE_INVALID_NAME, "invalid model name \"" + std::string(name) + "\"",
                   "A name is 1 to 63 letters, digits, underscores, dots or dashes.");
  }
}

// Reads a text[] argument without nulls.
std::vector<std::string> text_array_argument(FunctionCallInfo fcinfo, int index) {
  Datum* values = nullptr;
  bool* nulls = nullptr;
  int count = 0;
  protect([&] {
    deconstruct_array(PG_GETARG_ARRAYTYPE_P(index), TEXTOID, -1, false, TYPALIGN_INT, &values,
                      &nulls, &count);
  });
  std::vector<std::string> texts;
  for (int i = 0; i < count; ++i) {
    if (nulls[i]) {
      throw SqlError(ERRCODE_NULL_VALUE_NOT_ALLOWED, "feature_names must not contain nulls");
    }
    const char* name = protect([&] { return TextDatumGetCString(values[i]); });
    texts.emplace_back(name);
  }
  return texts;
}

// Gives the forest the caller's feature names, unless the file has its own.
void name_features(Forest& forest, const std::vector<std::string>& names) {
  if (forest.has_feature_names) {
    if (names == forest.feature_names) return;
    throw SqlError(ERRCODE_INVALID_PARAMETER_VALUE,
                   "feature_names differ from the names in the model file", {},
                   "Leave feature_names out: the file's own names are taken.");
  }
  if (names.size() != forest.feature_count()) {
    throw SqlError(ERRCODE_INVALID_PARAMETER_VALUE,
                   "expected " + std::to_string(forest.feature_count()) + " feature names, not " +
                       std::to_string(names.size()));
  }
  std::set<std::string> seen;
  for (const std::string& name : names) {
    if (name.empty()) throw SqlError(ERRCODE_INVALID_PARAMETER_VALUE, "a feature name must not be empty");
    if (!seen.insert(name).second) {
      throw SqlError(ERRCODE_INVALID_PARAMETER_VALUE,
                     "feature name \"" + name + "\" stands twice", "Values are matched to features by name.",
                     "Give each feature a name of its own.");
    }
  }
  forest.feature_names = names;
}

// Names features that have no names as the feature set does, where it has as many;
// refuses a model whose features the set does not have. Returns the set's hash.
std::string check_features(Forest& forest, bool named, const std::string& feature_set) {
  Spi spi;
  const uint64_t count = spi.run(features_of_set, {text_param(feature_set)});
  std::vector<std::string> known;
  for (uint64_t i = 0; i < count; ++i) known.push_back(*spi.text(i, 2));
  if (!named) {
    if (known.size() != forest.feature_count()) {
      throw SqlError(ERRCODE_INVALID_PARAMETER_VALUE, "the model file does not name its features",
                     "It has " + std::to_string(forest.feature_count()) + ", feature set \"" + feature_set +
                         "\" has " + std::to_string(known.size()) + ".",
                     "Give feature_names, in the model's order.");
    }
    forest.feature_names = known;
  }
  std::string missing;
  for (const std::string& name : forest.feature_names) {
    if (std::find(known.begin(), known.end(), name) != known.end()) continue;
    missing += (missing.empty() ? "" : ", ") + name;
  }
  if (!missing.empty()) {
    throw SqlError(ERRCODE_UNDEFINED_COLUMN,
                   "the model has features that feature set \"" + feature_set + "\" does not have",
                   "Missing: " + missing + ".",
                   "fraud.feature_catalog lists the features of each set; fraud.add_feature and "
                   "fraud.add_window_feature add one.");
  }
  return *spi.text(0, 1);
}

// Leaves out the trees behind the iteration that early stopping found best, when
// asked to; says that they count, when not.
void choose_iterations(Forest& forest, bool best_iteration) {
  if (best_iteration) {
    if (!forest.best_iteration) {
      throw SqlError(ERRCODE_INVALID_PARAMETER_VALUE,
                     "the model file names none of its " +
                         std::to_string(forest.iteration_count()) + " iterations as the best",
                     {},
                     "XGBoost writes the attribute best_iteration where training stopped early.");
    }
    forest.keep_iterations(*forest.best_iteration + 1);
    return;
  }
  const size_t count = forest.iteration_count();
  if (!forest.best_iteration || *forest.best_iteration + 1 == count) return;
  const unsigned best = *forest.best_iteration;
  protect([&] {
    ereport(NOTICE,
            (errmsg("all %zu iterations are scored, though training found iteration %u the best",
                    count, best),
             errhint("To leave out those behind it, import the file with best_iteration => true.")));
  });
}

}  // namespace

}  // namespace fraud::pg

using namespace fraud;
using namespace fraud::pg;

FRAUD_FUNCTION(import_model) {
  refuse_when_restricted("import_model");
  if (PG_ARGISNULL(0) || PG_ARGISNULL(1)) {
    throw SqlError(ERRCODE_NULL_VALUE_NOT_ALLOWED, "model and artifact must not be null");
  }
  text* name_text = protect([&] { return PG_GETARG_TEXT_PP(0); });
  std::string_view name(VARDATA_ANY(name_text), VARSIZE_ANY_EXHDR(name_text));
  check_name(name);
  bytea* artifact = protect([&] { return PG_GETARG_BYTEA_PP(1); });
  Forest forest = read_model({VARDATA_ANY(artifact), VARSIZE_ANY_EXHDR(artifact)});
  if (!PG_ARGISNULL(3)) name_features(forest, text_array_argument(fcinfo, 3));
  choose_iterations(forest, !PG_ARGISNULL(4) && PG_GETARG_BOOL(4));

  OwnerScope owner;
  std::string feature_set, hash;
  if (!PG_ARGISNULL(5)) {
    text* set_text = protect([&] { return PG_GETARG_TEXT_PP(5); });
    feature_set.assign(VARDATA_ANY(set_text), static_cast<size_t>(VARSIZE_ANY_EXHDR(set_text)));
    hash = check_features(forest, forest.has_feature_names || !PG_ARGISNULL(3), feature_set);
  }
  Spi spi;
  Column names(TEXTOID);
  for (const std::string& feature : forest.feature_names) names.add(text_param(feature));
  spi.run(insert_model, {text_param(name)});
  spi.run(lock_model, {text_param(name)});
  spi.run(insert_version,
          {text_param(name), {PG_GETARG_DATUM(1)}, names.array(),
           int4_param(static_cast<int32_t>(forest.tree_count())),
           int4_param(static_cast<int32_t>(forest.iteration_count())), text_param(forest.objective),
           optional_text_param(forest.xgboost_version), {PG_GETARG_DATUM(2), PG_ARGISNULL(2)},
           optional_text_param(feature_set), optional_text_param(hash)});
  const auto version = static_cast<int32_t>(*spi.integer(0, 1));
  if (!std::isnan(forest.missing)) {
    char missing[32];
    std::snprintf(missing, sizeof(missing), "%.9g", static_cast<double>(forest.missing));
    protect([&] {
      ereport(NOTICE, (errmsg("a value of %s is taken for a missing one, as the model's file says", missing),
                       errdetail("It was trained with missing=%s; NULL is missing, too.", missing)));
    });
  }
  spi.run(note_import, {text_param(name), int4_param(version)});
  return Int32GetDatum(version);
}

// Arguments: artifact, feature_names, iterations, all as import_model stored them.
FRAUD_FUNCTION(compile_model) {
  bytea* artifact = protect([&] { return PG_GETARG_BYTEA_PP(0); });
  Forest forest = read_model({VARDATA_ANY(artifact), VARSIZE_ANY_EXHDR(artifact)});
  name_features(forest, text_array_argument(fcinfo, 1));
  forest.keep_iterations(static_cast<size_t>(PG_GETARG_INT32(2)));
  const std::string bytes = compile_model(forest);
  const ModelDigest digest = digest_of(bytes);
  return protect([&] {
    const Size size = add_size(bytes.size(), VARHDRSZ + digest.size());
    bytea* result = (bytea*)palloc(size);
    SET_VARSIZE(result, size);
    memcpy(VARDATA(result), digest.data(), digest.size());
    memcpy(VARDATA(result) + digest.size(), bytes.data(), bytes.size());
    return PointerGetDatum(result);
  });
}

// Returns one row for each copy in shared memory.
FRAUD_FUNCTION(shared_models) {
  std::vector<SharedModel> models = shared_models();
  protect([&] { InitMaterializedSRF(fcinfo, 0); });
  auto* result = reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo);
  for (const SharedModel& model : models) {
    const SqlValue digest = bytea_param(
        {reinterpret_cast<const char*>(model.digest.data()), model.digest.size()});
    protect([&] {
      Datum values[4] = {digest.value, Int64GetDatum((int64)model.bytes),
                         Int32GetDatum(model.holders), TimestampTzGetDatum(model.used_at)};
      bool nulls[4] = {false, false, false, false};
      tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
    });
  }
  return (Datum)0;
}

FRAUD_FUNCTION(export_model) {
  refuse_when_restricted("export_model");
  std::string name;
  const Datum artifact = model_artifact(text_argument(fcinfo, 0, "ref"), &name);
  note_act("export", "model", name);
  return artifact;
}
