#include <algorithm>
#include <limits>

#include "pg/models/call_site.h"
#include "pg/models/model_rows.h"
#include "pg/server/boundary.h"
#include "pg/server/owner_scope.h"
#include "pg/server/row_types.h"
#include "pg/server/spi.h"

namespace fraud::pg {

namespace {

constexpr float kMissing = std::numeric_limits<float>::quiet_NaN();

std::string join(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

}  // namespace

CallSite& CallSite::of(FunctionCallInfo fcinfo) {
  FmgrInfo* info = fcinfo->flinfo;
  if (info->fn_extra == nullptr) {
    void* room = protect(
        [&] { return MemoryContextAllocZero(info->fn_mcxt, sizeof(MemoryContextCallback)); });
    auto* callback = static_cast<MemoryContextCallback*>(room);
    callback->arg = new CallSite(info->fn_mcxt);
    callback->func = [](void* site) { delete static_cast<CallSite*>(site); };
    MemoryContextRegisterResetCallback(info->fn_mcxt, callback);
    info->fn_extra = callback->arg;
  }
  return *static_cast<CallSite*>(info->fn_extra);
}

void CallSite::resolve(text* ref_text) {
  std::string_view ref(VARDATA_ANY(ref_text), VARSIZE_ANY_EXHDR(ref_text));
  SnapshotMark mark = SnapshotMark::current();
  if (is_resolved_ && mark_ == mark && ref_ == ref) return;
  // Places are those of the model that is found, and of the features as they are now.
  is_resolved_ = is_stored_mapped_ = knows_set_ = false;
  ResolvedModel found = resolve_model(ref, true);
  if (found.flat != resolved_.flat) {
    scorer_ = std::make_unique<Scorer>(make_scorer(*found.flat));
    row_.assign(found.flat->feature_count(), kMissing);
    row_type_ = InvalidOid;  // the mapping is made anew
    is_mapped_ = false;
  }
  resolved_ = std::move(found);
  ref_ = ref;
  mark_ = mark;
  is_resolved_ = true;
}

std::vector<double> CallSite::contributions() {
  std::vector<double> phi(model().feature_count() + 1, 0.0);
  scorer_->contributions(row_.data(), phi.data());
  return phi;
}

// The shipped model, and others of that name, score payments, whatever they were imported with.
static Statement set_of_version(
    "SELECT f.feature_set FROM fraud.model_versions v"
    " JOIN fraud.feature_sets f ON f.feature_set = coalesce(v.feature_set, CASE v.model WHEN 'payments' THEN 'payments' END)"
    " WHERE v.model = $1 AND v.version = $2",
    {TEXTOID, INT4OID});

std::string CallSite::category_of(size_t feature) {
  if (!knows_set_) {
    OwnerScope owner;
    set_.reset();
    std::string name;
    {
      Spi spi;
      spi.run(set_of_version, {text_param(resolved_.model), int4_param(resolved_.version)}, true);
      if (spi.rows() > 0) name = *spi.text(0, 1);
    }
    if (!name.empty()) set_ = find_feature_set(name, true);
    knows_set_ = true;
  }
  if (!set_) return {};
  for (const FeatureInfo& known : set_->features) {
    if (known.name != model().feature_name(feature)) continue;
    const float code = row_[feature];
    if (!(code >= 0 && code < static_cast<float>(known.categories.size()))) return {};
    return known.categories[static_cast<size_t>(code)];
  }
  return {};
}

void CallSite::throw_missing(const std::vector<std::string>& missing) const {
  throw SqlError(ERRCODE_UNDEFINED_COLUMN,
                 "features of model \"" + resolved_.name() + "\" are missing",
                 "Missing: " + join(missing) + ".",
                 "Columns and keys are matched by name; pass null where a value is unknown.");
}

// -------------------------------------------------------------------- values

std::optional<CallSite::Kind> CallSite::kind_of(Oid type) {
  switch (type) {
    case FLOAT4OID:
      return Kind::kFloat4;
    case FLOAT8OID:
      return Kind::kFloat8;
    case INT2OID:
      return Kind::kInt2;
    case INT4OID:
      return Kind::kInt4;
    case INT8OID:
      return Kind::kInt8;
    case NUMERICOID:
      return Kind::kNumeric;
    case BOOLOID:
      return Kind::kBool;
    default:
      return std::nullopt;
  }
}

float CallSite::to_float(Datum value, Kind kind) {
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

CallSite::Source CallSite::source_of(const std::string& name, int place, Oid type) const {
  std::optional<Kind> kind = kind_of(protect([&] { return getBaseType(type); }));
  if (!kind) {
    const char* type_name = protect([&] { return format_type_be(type); });
    throw SqlError(ERRCODE_DATATYPE_MISMATCH,
                   "column \"" + name + "\" must be a number or a boolean, not " + type_name);
  }
  return Source{place, *kind};
}

// -------------------------------------------------------------------- arrays

void CallSite::read_array(Datum value) {
  ArrayType* array = protect([&] { return DatumGetArrayTypeP(value); });
  if (ARR_NDIM(array) > 1) {
    throw SqlError(ERRCODE_ARRAY_SUBSCRIPT_ERROR,
                   "expected a one-dimensional array of features, not " +
                       std::to_string(ARR_NDIM(array)) + " dimensions");
  }
  size_t count = ARR_NDIM(array) == 0 ? 0 : static_cast<size_t>(ARR_DIMS(array)[0]);
  if (count != row_.size()) {
    throw SqlError(ERRCODE_ARRAY_SUBSCRIPT_ERROR, "expected " + std::to_string(row_.size()) +
                                                      " features for model \"" + resolved_.name() +
                                                      "\", not " + std::to_string(count));
  }
  const float* source = reinterpret_cast<const float*>(ARR_DATA_PTR(array));
  const bits8* present = ARR_NULLBITMAP(array);
  for (size_t i = 0; i < count; ++i) {
    bool null = present != nullptr && (present[i / 8] & (1 << (i % 8))) == 0;
    row_[i] = null ? kMissing : *source++;
  }
}

// Of a payment that was scored before a feature was added.
void CallSite::throw_not_stored(int size) const {
  std::vector<std::string> missing;
  for (size_t i = 0; i < stored_place_.size(); ++i) {
    if (stored_place_[i] >= size) missing.emplace_back(model().feature_name(i));
  }
  throw SqlError(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                 (stored_set_ == "payments" ? "the payment" : "the event") + std::string(" was scored before features of model \"") + resolved_.name() + "\" were added",
                 "Not in its stored vector: " + join(missing) + ".",
                 "fraud.materialize_features and fraud.scored_events compute them for the past.");
}

void CallSite::take_stored_of(std::string_view set) {
  if (stored_set_ != set) is_stored_mapped_ = false;
  stored_set_ = std::string(set);
  if (!is_stored_mapped_) map_stored_vector();
}

void CallSite::map_stored_vector() {
  std::vector<std::string_view> names;
  for (size_t i = 0; i < model().feature_count(); ++i) names.push_back(model().feature_name(i));
  stored_place_.assign(names.size(), -1);
  const Oid schema = fraud_schema();
  const std::string_view* name_array = names.data();
  int* places = stored_place_.data();
  const size_t count = names.size();
  const std::string_view set = stored_set_;
  protect([&] { read_stored_places(schema, set, name_array, count, GetActiveSnapshot(), places); });
  std::vector<std::string> missing;
  stored_size_ = 0;
  for (size_t i = 0; i < names.size(); ++i) {
    if (stored_place_[i] < 0) missing.emplace_back(names[i]);
    stored_size_ = std::max(stored_size_, stored_place_[i] + 1);
  }
  if (!missing.empty()) throw_missing(missing);
  is_stored_mapped_ = true;
}

void CallSite::read_stored_vector(Datum value, bool null) {
  if (!is_stored_mapped_) map_stored_vector();
  ArrayType* vector = null ? nullptr : protect([&] { return DatumGetArrayTypeP(value); });
  if (vector == nullptr) {
    throw SqlError(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, "the payment has no stored feature vector",
                   "A row without a payment, such as an outer join gives, has none.",
                   "Leave such rows out: WHERE transaction_id IS NOT NULL.");
  }
  if (ARR_NDIM(vector) != 1 || ARR_HASNULL(vector)) {
    throw SqlError(ERRCODE_ARRAY_SUBSCRIPT_ERROR,
                   "a stored feature vector must be a one-dimensional array without nulls");
  }
  if (ARR_DIMS(vector)[0] < stored_size_) throw_not_stored(ARR_DIMS(vector)[0]);
  const float* values = reinterpret_cast<const float*>(ARR_DATA_PTR(vector));
  for (size_t i = 0; i < row_.size(); ++i) row_[i] = values[stored_place_[i]];
}

// --------------------------------------------------------------------- jsonb

void CallSite::read_jsonb(Datum value) {
  Jsonb* object = protect([&] { return DatumGetJsonbP(value); });
  if (!JB_ROOT_IS_OBJECT(object)) {
    throw SqlError(ERRCODE_INVALID_PARAMETER_VALUE, "features must be a JSON object", {},
                   "For example: {\"amount\": 12.5, …}.");
  }
  std::vector<std::string> missing;
  for (size_t i = 0; i < row_.size(); ++i) {
    const std::string_view name = model().feature_name(i);
    JsonbValue room;
    JsonbValue* found = protect([&] {
      return getKeyJsonValueFromContainer(&object->root, name.data(), (int)name.size(), &room);
    });
    if (found == nullptr) {
      missing.emplace_back(name);
      continue;
    }
    switch (found->type) {
      case jbvNull:
        row_[i] = kMissing;
        break;
      case jbvBool:
        row_[i] = found->val.boolean ? 1.0F : 0.0F;
        break;
      case jbvNumeric:
        row_[i] = to_float(NumericGetDatum(found->val.numeric), Kind::kNumeric);
        break;
      default:
        throw SqlError(ERRCODE_DATATYPE_MISMATCH,
                       "feature \"" + std::string(name) +
                           "\" must be a number, a boolean or null, not " +
                           (found->type == jbvString ? "a string" : "an object or array"));
    }
  }
  if (!missing.empty()) throw_missing(missing);
}

// ---------------------------------------------------------------------- rows

void CallSite::map_columns(Oid type, int32 typmod) {
  row_type_ = InvalidOid;
  descriptor_ = protect([&] {
    MemoryContext old = MemoryContextSwitchTo(context_);
    if (descriptor_ != nullptr) FreeTupleDesc(descriptor_);
    descriptor_ = nullptr;
    TupleDesc copy = lookup_rowtype_tupdesc_copy(type, typmod);
    MemoryContextSwitchTo(old);
    return copy;
  });
  vector_attribute_ = -1;
  sources_.clear();
  if (protect([&] { return is_transactions_type(type); })) {
    vector_attribute_ = attribute_named(descriptor_, "features", 8);
  } else {
    std::vector<std::string> missing;
    for (size_t i = 0; i < row_.size(); ++i) {
      const std::string name(model().feature_name(i));
      int attribute = attribute_named(descriptor_, name.data(), name.size());
      if (attribute < 0) {
        missing.push_back(name);
      } else {
        sources_.push_back(
            source_of(name, attribute, TupleDescAttr(descriptor_, attribute)->atttypid));
      }
    }
    if (!missing.empty()) throw_missing(missing);
  }
  values_.assign(static_cast<size_t>(descriptor_->natts), (Datum)0);
  nulls_ = std::make_unique<bool[]>(static_cast<size_t>(descriptor_->natts) + 1);
  row_type_ = type;
  row_typmod_ = typmod;
}

void CallSite::read_record(Datum value) {
  HeapTupleHeader header = protect([&] { return DatumGetHeapTupleHeader(value); });
  Oid type = HeapTupleHeaderGetTypeId(header);
  int32 typmod = HeapTupleHeaderGetTypMod(header);
  // A call site can outlive ALTER TABLE: in a loop of a function, for one.
  const uint64 shape = protect([&] { return assign_record_type_identifier(type, typmod); });
  if (type != row_type_ || typmod != row_typmod_ || shape != row_shape_) {
    map_columns(type, typmod);
    row_shape_ = shape;
  }
  HeapTupleData tuple;
  tuple.t_len = HeapTupleHeaderGetDatumLength(header);
  ItemPointerSetInvalid(&tuple.t_self);
  tuple.t_tableOid = InvalidOid;
  tuple.t_data = header;
  protect([&] { heap_deform_tuple(&tuple, descriptor_, values_.data(), nulls_.get()); });
  if (vector_attribute_ >= 0) {
    read_stored_vector(values_[static_cast<size_t>(vector_attribute_)], nulls_[vector_attribute_]);
    return;
  }
  for (size_t i = 0; i < sources_.size(); ++i) {
    const Source& source = sources_[i];
    row_[i] = nulls_[source.place] ? kMissing
                                   : to_float(values_[static_cast<size_t>(source.place)], source.kind);
  }
}

// ----------------------------------------------------------------- arguments

void CallSite::map_arguments(FunctionCallInfo fcinfo, int first, ArrayType* names) {
  is_mapped_ = false;
  if (ARR_NDIM(names) > 1 || ARR_HASNULL(names)) {
    throw SqlError(ERRCODE_ARRAY_SUBSCRIPT_ERROR, "names must be a one-dimensional array without nulls");
  }
  Datum* columns = nullptr;
  int count = 0;
  protect([&] {
    deconstruct_array(names, TEXTOID, -1, false, TYPALIGN_INT, &columns, nullptr, &count);
  });
  if (count != fcinfo->nargs - first) {
    throw SqlError(ERRCODE_INVALID_PARAMETER_VALUE,
                   "expected " + std::to_string(count) + " values, not " +
                       std::to_string(fcinfo->nargs - first));
  }
  std::vector<std::string> missing;
  sources_.clear();
  for (size_t i = 0; i < row_.size(); ++i) {
    const std::string_view name = model().feature_name(i);
    int place = 0;
    while (place < count && name != std::string_view(VARDATA_ANY(columns[place]),
                                                     VARSIZE_ANY_EXHDR(columns[place]))) {
      ++place;
    }
    if (place == count) {
      missing.emplace_back(name);
      continue;
    }
    Oid type = protect([&] { return get_fn_expr_argtype(fcinfo->flinfo, first + place); });
    sources_.push_back(source_of(std::string(name), first + place, type));
  }
  if (!missing.empty()) throw_missing(missing);
  names_.assign(reinterpret_cast<const char*>(names), VARSIZE(names));
  is_mapped_ = true;
}

void CallSite::read_arguments(FunctionCallInfo fcinfo, int first, Datum names) {
  ArrayType* array = protect([&] { return DatumGetArrayTypeP(names); });
  // The planner gives a constant; whoever calls it by hand may give others row by row.
  if (!is_mapped_ || names_ != std::string_view(reinterpret_cast<const char*>(array), VARSIZE(array))) {
    map_arguments(fcinfo, first, array);
  }
  for (size_t i = 0; i < sources_.size(); ++i) {
    const Source& source = sources_[i];
    const NullableDatum& argument = fcinfo->args[source.place];
    row_[i] = argument.isnull ? kMissing : to_float(argument.value, source.kind);
  }
}

// -------------------------------------------------------------------- blocks

void CallSite::begin_block(FunctionCallInfo call) {
  resolve(protect([&] { return DatumGetTextPP(call->args[0].value); }));
  if (!is_mapped_) map_arguments(call, 2, protect([&] { return DatumGetArrayTypeP(call->args[1].value); }));
  block_.resize(kMostBlockRows * row_.size());
  margins_.resize(kMostBlockRows);
}

void CallSite::read_block_row(size_t i, const Datum* values, const bool* nulls, const int16* attributes) {
  float* const row = block_.data() + i * row_.size();
  for (size_t feature = 0; feature < sources_.size(); ++feature) {
    const Source& source = sources_[feature];
    const int place = attributes[source.place - 2] - 1;
    row[feature] = nulls[place] ? kMissing : to_float(values[place], source.kind);
  }
}

void CallSite::score_block(size_t count, double* scores) {
  scorer_->margins(block_.data(), count, row_.size(), margins_.data());
  const Transform transform = model().transform();
  for (size_t i = 0; i < count; ++i) scores[i] = static_cast<double>(transform_margin(transform, margins_[i]));
}

}  // namespace fraud::pg
