#include "pg/models/model_lookup.h"

#include "pg/server/boundary.h"

#include <algorithm>
#include <charconv>

#include "pg/models/model_rows.h"
#include "pg/models/model_store.h"
#include "pg/server/gucs.h"
#include "pg/server/owner_scope.h"
#include "pg/server/spi.h"

namespace fraud::pg {

namespace {

struct Reference {
  std::string model;
  std::string alias;  // empty when a version is named
  int version = 0;
};

Reference parse_reference(std::string_view ref) {
  Reference result;
  size_t mark = ref.find_first_of("@/");
  result.model = std::string(ref.substr(0, mark));
  bool sound = !result.model.empty();
  if (mark == std::string_view::npos) {
    result.alias = "champion";
  } else {
    std::string_view rest = ref.substr(mark + 1);
    if (ref[mark] == '@') {
      result.alias = std::string(rest);
      sound = sound && !rest.empty() && rest.find_first_of("@/") == std::string_view::npos;
    } else {
      auto [end, fault] = std::from_chars(rest.data(), rest.data() + rest.size(), result.version);
      sound = sound && fault == std::errc() && end == rest.data() + rest.size() &&
              result.version > 0;
    }
  }
  if (!sound) {
    throw SqlError(ERRCODE_INVALID_NAME, "invalid model reference \"" + std::string(ref) + "\"", {},
                   "A model is named as name, name@alias or name/version.");
  }
  return result;
}

// What a reference resolves to in the tables.
struct Found {
  std::string model;
  int version = 0;
  ModelDigest digest{};  // of the compiled model
  bool has_thresholds = false;
  double review_at = 0, block_at = 0;
};

Statement model_exists("SELECT 1 FROM fraud.models m WHERE m.model = $1", {TEXTOID});
Statement artifact_of("SELECT v.artifact FROM fraud.model_versions v"
                      " WHERE v.model = $1 AND v.version = $2",
                      {TEXTOID, INT4OID});
Statement compiled_of("SELECT v.compiled FROM fraud.model_versions v"
                      " WHERE v.model = $1 AND v.version = $2",
                      {TEXTOID, INT4OID});

// Says whether the model, its alias or its version is unknown.
[[noreturn]] void throw_unknown(const Reference& ref) {
  OwnerScope owner;
  Spi spi;
  if (spi.run(model_exists, {text_param(ref.model)}, true) == 0) {
    throw SqlError(ERRCODE_UNDEFINED_OBJECT, "model \"" + ref.model + "\" does not exist", {},
                   "fraud.models lists the models; fraud.import_model makes one.");
  }
  if (ref.alias.empty()) {
    throw SqlError(ERRCODE_UNDEFINED_OBJECT,
                   "model \"" + ref.model + "\" has no version " + std::to_string(ref.version), {},
                   "fraud.model_versions lists the versions.");
  }
  throw SqlError(ERRCODE_UNDEFINED_OBJECT,
                 "model \"" + ref.model + "\" has no alias \"" + ref.alias + "\"", {},
                 "fraud.promote makes an alias name a version; fraud.model_aliases lists them.");
}

// Looks a reference up as of the active snapshot, or as of now.
Found find(const Reference& ref, bool read_only) {
  Oid schema = fraud_schema();
  Found found;
  found.model = ref.model;
  found.version = ref.version;
  PromotionRow promotion;
  VersionRow row;
  bool promoted = false;
  // A version that is named by number has the champion's thresholds, where they mean
  // something to it.
  const std::string_view alias = ref.alias.empty() ? std::string_view("champion") : ref.alias;
  const bool exists = protect([&] {
    if (!read_only) CommandCounterIncrement();
    Snapshot snapshot = RegisterSnapshot(read_only ? GetActiveSnapshot() : GetLatestSnapshot());
    promoted = read_promotion(schema, ref.model, alias, snapshot, &promotion);
    if (promoted && !ref.alias.empty()) found.version = promotion.version;
    bool there = (promoted || ref.alias.empty()) &&
                 read_version(schema, ref.model, found.version, snapshot, &row);
    UnregisterSnapshot(snapshot);
    return there;
  });
  if (!exists) throw_unknown(ref);
  if (row.digest_size != found.digest.size()) {
    throw SqlError(ERRCODE_DATA_CORRUPTED, "the compiled model is damaged: its SHA-256 is too short", {},
                   "Import the model's file again.");
  }
  memcpy(found.digest.data(), row.digest, row.digest_size);
  found.has_thresholds = promoted && (!ref.alias.empty() || row.gives_probability);
  if (found.has_thresholds) {
    found.review_at = promotion.review_at;
    found.block_at = promotion.block_at;
  }
  return found;
}

// Reads a bytea of the version's row. read_only is as for find(): what that saw must
// be seen here too.
Datum load(Spi& spi, Statement& column, const Found& found, bool read_only) {
  if (spi.run(column, {text_param(found.model), int4_param(found.version)}, read_only) == 0) {
    throw SqlError(ERRCODE_UNDEFINED_OBJECT, "model \"" + found.model + "\" has no version " +
                                                 std::to_string(found.version),
                   {}, "fraud.model_versions lists the versions.");
  }
  Datum value = *spi.datum(0, 1);
  return protect([&] { return PointerGetDatum(PG_DETOAST_DATUM(value)); });
}

}  // namespace

ResolvedModel resolve_model(std::string_view ref, bool read_only) {
  Found found = find(parse_reference(ref), read_only);
  ResolvedModel result;
  result.model = found.model;
  result.version = found.version;
  result.has_thresholds = found.has_thresholds;
  result.review_at = found.review_at;
  result.block_at = found.block_at;
  result.flat = find_model(found.digest);
  if (result.flat == nullptr) {
    OwnerScope owner;
    Spi spi;
    Datum compiled = load(spi, compiled_of, found, read_only);
    std::string_view bytes(VARDATA_ANY(compiled), VARSIZE_ANY_EXHDR(compiled));
    bytes.remove_prefix(std::min(bytes.size(), found.digest.size()));
    result.flat = add_model(found.digest, bytes);
  }
  return result;
}

Scorer make_scorer(const FlatModel& model) {
  const Kernel* kernel = guc_kernel == 0 ? nullptr : find_kernel(kKernelNames[guc_kernel]);
  return Scorer(model, kernel != nullptr ? *kernel : best_kernel());
}

Datum model_artifact(std::string_view ref, std::string* name) {
  Found found = find(parse_reference(ref), true);
  *name = found.model + "/" + std::to_string(found.version);
  MemoryContext caller = CurrentMemoryContext;
  OwnerScope owner;
  Spi spi;
  Datum artifact = load(spi, artifact_of, found, true);
  return protect([&] {
    MemoryContext old = MemoryContextSwitchTo(caller);
    Size size = VARSIZE_ANY_EXHDR(artifact);
    bytea* copy = (bytea*)palloc(size + VARHDRSZ);
    SET_VARSIZE(copy, size + VARHDRSZ);
    memcpy(VARDATA(copy), VARDATA_ANY(artifact), size);
    MemoryContextSwitchTo(old);
    return PointerGetDatum(copy);
  });
}

SnapshotMark SnapshotMark::current() {
  Snapshot snapshot = GetActiveSnapshot();
  SnapshotMark mark;
  mark.xmin = snapshot->xmin;
  mark.xmax = snapshot->xmax;
  mark.xcnt = snapshot->xcnt;
  mark.subxcnt = snapshot->subxcnt;
  mark.command = snapshot->curcid;
  mark.subtransaction = GetCurrentSubTransactionId();
  return mark;
}

}  // namespace fraud::pg
