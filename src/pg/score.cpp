// fraud_score and fraud_explain: from a row, an object or a vector to a score.
#include "core/forest.h"
#include "core/payment_features.h"

#include <cmath>
#include <limits>
#include <new>

#include "pg/boundary.h"
#include "pg/model_cache.h"
#include "pg/owner_scope.h"

namespace fraud::pg {

namespace {

constexpr float kMissing = std::numeric_limits<float>::quiet_NaN();

// How a column's value becomes a feature.
enum class Kind { kFloat4, kFloat8, kInt2, kInt4, kInt8, kNumeric, kBool };

struct ColumnMap {
  int attribute;  // 0-based column
  Kind kind;
};

// What one place in a query keeps from row to row.
struct CallSite {
  std::string ref;
  bool resolved = false;
  SnapshotMark mark;
  ResolvedModel model;
  std::vector<float> row;
  // For rows: the row type that the mapping was made for, and the mapping.
  Oid type = InvalidOid;
  int32 typmod = -1;
  TupleDesc descriptor = nullptr;  // a copy, in the call site's memory context
  bool stored_vector = false;      // a row of fraud.transactions
  int vector_attribute = 0;
  std::vector<int> payment_feature;  // for it: index in the stored vector
  std::vector<ColumnMap> columns;
  std::vector<Datum> values;
  std::unique_ptr<bool[]> nulls;
};

// Returns the call site's state, which goes with the memory context of the
// function's lookup information.
CallSite& call_site(FunctionCallInfo fcinfo) {
  FmgrInfo* info = fcinfo->flinfo;
  if (info->fn_extra == nullptr) {
    void* room = protect([&] {
      return MemoryContextAllocZero(info->fn_mcxt, sizeof(MemoryContextCallback));
    });
    auto* callback = static_cast<MemoryContextCallback*>(room);
    callback->arg = new CallSite;
    callback->func = [](void* site) { delete static_cast<CallSite*>(site); };
    MemoryContextRegisterResetCallback(info->fn_mcxt, callback);
    info->fn_extra = callback->arg;
  }
  return *static_cast<CallSite*>(info->fn_extra);
}

// Makes sure that the call site has the model that argument 1 names, as of the
// active snapshot.
void resolve(CallSite& site, FunctionCallInfo fcinfo) {
  text* argument = protect([&] { return PG_GETARG_TEXT_PP(1); });
  std::string_view ref(VARDATA_ANY(argument), VARSIZE_ANY_EXHDR(argument));
  SnapshotMark mark = SnapshotMark::current();
  if (site.resolved && site.mark == mark && site.ref == ref) return;
  const Forest* before = site.model.forest.get();
  site.resolved = false;
  site.model = resolve_model(ref, true);
  site.ref = ref;
  site.mark = mark;
  site.resolved = true;
  if (site.model.forest.get() != before) {
    site.row.assign(site.model.forest->feature_count(), kMissing);
    site.type = InvalidOid;  // the mapping is made anew
  }
}

std::string join(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

[[noreturn]] void throw_missing(const CallSite& site, const std::vector<std::string>& missing) {
  throw SqlError(ERRCODE_UNDEFINED_COLUMN,
                 "features of model \"" + site.model.name() + "\" are missing",
                 "Missing: " + join(missing) + ".",
                 "Columns and keys are matched by name; pass null where a value is unknown.");
}

// ------------------------------------------------------------------- arrays

void read_array(CallSite& site, Datum value) {
  ArrayType* array = protect([&] { return DatumGetArrayTypeP(value); });
  size_t expected = site.row.size();
  if (ARR_NDIM(array) > 1) {
    throw SqlError(ERRCODE_ARRAY_SUBSCRIPT_ERROR,
                   "expected a one-dimensional array of features, not " +
                       std::to_string(ARR_NDIM(array)) + " dimensions");
  }
  size_t count = ARR_NDIM(array) == 0 ? 0 : static_cast<size_t>(ARR_DIMS(array)[0]);
  if (count != expected) {
    throw SqlError(ERRCODE_ARRAY_SUBSCRIPT_ERROR, "expected " + std::to_string(expected) +
                                                      " features for model \"" + site.model.name() +
                                                      "\", not " + std::to_string(count));
  }
  const float* source = reinterpret_cast<const float*>(ARR_DATA_PTR(array));
  const bits8* present = ARR_NULLBITMAP(array);
  for (size_t i = 0; i < count; ++i) {
    bool null = present != nullptr && (present[i / 8] & (1 << (i % 8))) == 0;
    site.row[i] = null ? kMissing : *source++;
  }
}

// -------------------------------------------------------------------- jsonb

void read_jsonb(CallSite& site, Datum value) {
  Jsonb* object = protect([&] { return DatumGetJsonbP(value); });
  if (!JB_ROOT_IS_OBJECT(object)) {
    throw SqlError(ERRCODE_INVALID_PARAMETER_VALUE, "features must be a JSON object", {},
                   "For example: {\"amount\": 12.5, …}.");
  }
  std::vector<std::string> missing;
  const std::vector<std::string>& names = site.model.forest->feature_names;
  for (size_t i = 0; i < names.size(); ++i) {
    JsonbValue room;
    JsonbValue* found = protect([&] {
      return getKeyJsonValueFromContainer(&object->root, names[i].data(), (int)names[i].size(),
                                          &room);
    });
    if (found == nullptr) {
      missing.push_back(names[i]);
      continue;
    }
    switch (found->type) {
      case jbvNull:
        site.row[i] = kMissing;
        break;
      case jbvBool:
        site.row[i] = found->val.boolean ? 1.0F : 0.0F;
        break;
      case jbvNumeric:
        site.row[i] = static_cast<float>(protect([&] {
          return DatumGetFloat8(
              DirectFunctionCall1(numeric_float8_no_overflow, NumericGetDatum(found->val.numeric)));
        }));
        break;
      default:
        throw SqlError(ERRCODE_DATATYPE_MISMATCH, "feature \"" + names[i] +
                                                      "\" must be a number, a boolean or null, not " +
                                                      (found->type == jbvString ? "a string"
                                                                                : "an object or array"));
    }
  }
  if (!missing.empty()) throw_missing(site, missing);
}

// --------------------------------------------------------------------- rows

bool kind_of(Oid type, Kind* kind) {
  switch (type) {
    case FLOAT4OID:
      *kind = Kind::kFloat4;
      return true;
    case FLOAT8OID:
      *kind = Kind::kFloat8;
      return true;
    case INT2OID:
      *kind = Kind::kInt2;
      return true;
    case INT4OID:
      *kind = Kind::kInt4;
      return true;
    case INT8OID:
      *kind = Kind::kInt8;
      return true;
    case NUMERICOID:
      *kind = Kind::kNumeric;
      return true;
    case BOOLOID:
      *kind = Kind::kBool;
      return true;
    default:
      return false;
  }
}

// Tells whether rows of this type are payments of ours, which carry their vector.
bool is_transactions_row(Oid type) {
  return protect([&] {
    Oid relation = get_typ_typrelid(type);
    if (!OidIsValid(relation)) return false;
    char* schema = get_namespace_name(get_rel_namespace(relation));
    char* name = get_rel_name(relation);
    return schema != nullptr && name != nullptr && strcmp(schema, "fraud") == 0 &&
           (strcmp(name, "transactions") == 0 ||
            (get_rel_relispartition(relation) && strncmp(name, "transactions_", 13) == 0));
  });
}

int attribute_named(TupleDesc descriptor, std::string_view name) {
  for (int i = 0; i < descriptor->natts; ++i) {
    Form_pg_attribute attribute = TupleDescAttr(descriptor, i);
    if (!attribute->attisdropped && name == NameStr(attribute->attname)) return i;
  }
  return -1;
}

// Matches the row type's columns to the model's features, by name.
void map_columns(CallSite& site, FunctionCallInfo fcinfo, Oid type, int32 typmod) {
  MemoryContext context = fcinfo->flinfo->fn_mcxt;
  site.type = InvalidOid;
  site.descriptor = protect([&] {
    MemoryContext old = MemoryContextSwitchTo(context);
    TupleDesc copy = lookup_rowtype_tupdesc_copy(type, typmod);
    MemoryContextSwitchTo(old);
    return copy;
  });
  const std::vector<std::string>& names = site.model.forest->feature_names;
  std::vector<std::string> missing;
  site.columns.clear();
  site.payment_feature.clear();
  site.vector_attribute = attribute_named(site.descriptor, "features");
  site.stored_vector =
      is_transactions_row(type) && site.vector_attribute >= 0 &&
      TupleDescAttr(site.descriptor, site.vector_attribute)->atttypid == FLOAT4ARRAYOID;
  if (site.stored_vector) {
    const auto& known = payment_feature_names();
    for (const std::string& name : names) {
      size_t i = 0;
      while (i < known.size() && known[i] != name) ++i;
      if (i == known.size()) missing.push_back(name);
      site.payment_feature.push_back(static_cast<int>(i));
    }
  } else {
    for (const std::string& name : names) {
      int attribute = attribute_named(site.descriptor, name);
      if (attribute < 0) {
        missing.push_back(name);
        continue;
      }
      Oid column_type = TupleDescAttr(site.descriptor, attribute)->atttypid;
      ColumnMap map{attribute, Kind::kFloat4};
      if (!kind_of(protect([&] { return getBaseType(column_type); }), &map.kind)) {
        const char* type_name = protect([&] { return format_type_be(column_type); });
        throw SqlError(ERRCODE_DATATYPE_MISMATCH,
                       "column \"" + name + "\" must be a number or a boolean, not " + type_name);
      }
      site.columns.push_back(map);
    }
  }
  if (!missing.empty()) throw_missing(site, missing);
  site.values.assign(static_cast<size_t>(site.descriptor->natts), (Datum)0);
  site.nulls = std::make_unique<bool[]>(static_cast<size_t>(site.descriptor->natts) + 1);
  site.type = type;
  site.typmod = typmod;
}

float column_value(Datum value, Kind kind) {
  switch (kind) {
    case Kind::kFloat4:
      return DatumGetFloat4(value);
    case Kind::kFloat8:
      return static_cast<float>(DatumGetFloat8(value));
    case Kind::kInt2:
      return static_cast<float>(DatumGetInt16(value));
    case Kind::kInt4:
      return static_cast<float>(DatumGetInt32(value));
    case Kind::kInt8:
      return static_cast<float>(DatumGetInt64(value));
    case Kind::kBool:
      return DatumGetBool(value) ? 1.0F : 0.0F;
    case Kind::kNumeric:
      return static_cast<float>(protect([&] {
        return DatumGetFloat8(DirectFunctionCall1(numeric_float8_no_overflow, value));
      }));
  }
  return kMissing;
}

void read_record(CallSite& site, FunctionCallInfo fcinfo) {
  HeapTupleHeader header = protect([&] { return PG_GETARG_HEAPTUPLEHEADER(0); });
  Oid type = HeapTupleHeaderGetTypeId(header);
  int32 typmod = HeapTupleHeaderGetTypMod(header);
  if (type != site.type || typmod != site.typmod || site.type == InvalidOid) {
    map_columns(site, fcinfo, type, typmod);
  }
  HeapTupleData tuple;
  tuple.t_len = HeapTupleHeaderGetDatumLength(header);
  ItemPointerSetInvalid(&tuple.t_self);
  tuple.t_tableOid = InvalidOid;
  tuple.t_data = header;
  protect([&] { heap_deform_tuple(&tuple, site.descriptor, site.values.data(), site.nulls.get()); });

  if (!site.stored_vector) {
    for (size_t i = 0; i < site.columns.size(); ++i) {
      size_t attribute = static_cast<size_t>(site.columns[i].attribute);
      site.row[i] =
          site.nulls[attribute] ? kMissing : column_value(site.values[attribute], site.columns[i].kind);
    }
    return;
  }
  size_t attribute = static_cast<size_t>(site.vector_attribute);
  bool null = site.nulls[attribute];
  ArrayType* vector = protect([&] {
    return null ? construct_empty_array(FLOAT4OID) : DatumGetArrayTypeP(site.values[attribute]);
  });
  if (ARR_NDIM(vector) != 1 || ARR_HASNULL(vector) ||
      ARR_DIMS(vector)[0] != static_cast<int>(kPaymentFeatureCount)) {
    throw SqlError(ERRCODE_DATA_CORRUPTED, "the payment's stored feature vector has not " +
                                               std::to_string(kPaymentFeatureCount) + " values");
  }
  const float* values = reinterpret_cast<const float*>(ARR_DATA_PTR(vector));
  for (size_t i = 0; i < site.row.size(); ++i) site.row[i] = values[site.payment_feature[i]];
}

Datum score_of(const CallSite& site) {
  return Float8GetDatum(static_cast<double>(site.model.forest->score(site.row.data())));
}

// Returns one row a feature, and one named (bias).
void explain(const CallSite& site, FunctionCallInfo fcinfo) {
  const Forest& forest = *site.model.forest;
  std::vector<double> phi(forest.feature_count() + 1, 0.0);
  forest.contributions(site.row.data(), phi.data());
  protect([&] { InitMaterializedSRF(fcinfo, 0); });
  auto* result = reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo);
  for (size_t i = 0; i < phi.size(); ++i) {
    bool bias = i == forest.feature_count();
    const char* name = bias ? "(bias)" : forest.feature_names[i].c_str();
    float value = bias ? kMissing : site.row[i];
    protect([&] {
      Datum values[3] = {CStringGetTextDatum(name), Float8GetDatum((double)value),
                         Float8GetDatum(phi[i])};
      bool nulls[3] = {false, std::isnan(value), false};
      tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
    });
  }
}

}  // namespace

}  // namespace fraud::pg

using namespace fraud::pg;

FRAUD_FUNCTION(score_array) {
  CallSite& site = call_site(fcinfo);
  resolve(site, fcinfo);
  read_array(site, PG_GETARG_DATUM(0));
  return score_of(site);
}

FRAUD_FUNCTION(score_jsonb) {
  CallSite& site = call_site(fcinfo);
  resolve(site, fcinfo);
  read_jsonb(site, PG_GETARG_DATUM(0));
  return score_of(site);
}

FRAUD_FUNCTION(score_record) {
  CallSite& site = call_site(fcinfo);
  resolve(site, fcinfo);
  read_record(site, fcinfo);
  return score_of(site);
}

FRAUD_FUNCTION(explain_jsonb) {
  CallSite& site = call_site(fcinfo);
  resolve(site, fcinfo);
  read_jsonb(site, PG_GETARG_DATUM(0));
  explain(site, fcinfo);
  return (Datum)0;
}

FRAUD_FUNCTION(explain_record) {
  CallSite& site = call_site(fcinfo);
  resolve(site, fcinfo);
  read_record(site, fcinfo);
  explain(site, fcinfo);
  return (Datum)0;
}
