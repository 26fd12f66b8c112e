#include "pg/features/index_key.h"

#include "pg/features/feature_expression.h"
#include "pg/server/boundary.h"
#include "pg/server/spi.h"

extern "C" {
#include "catalog/pg_namespace.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"
}

namespace fraud::pg {

namespace {

constexpr int16 kMostBytes = NAMEDATALEN;  // of a value that is indexed as it is

}  // namespace

std::string indexed_part(const std::string& sql, Oid type, Oid collation) {
  const char* hash = protect([&]() -> const char* {
    const Oid base = getBaseType(type);
    const int16 length = get_typlen(base);
    if (length > 0 && length <= kMostBytes) return "";
    // The collation of what it is compared to may be another.
    if (OidIsValid(collation) && !get_collation_isdeterministic(collation)) return nullptr;
    // That of bytea is not for SQL, and strings of bits have none.
    if (base == BYTEAOID || base == BITOID || base == VARBITOID) return "sha256";
    const Oid function = lookup_type_cache(base, TYPECACHE_HASH_EXTENDED_PROC)->hash_extended_proc;
    if (!OidIsValid(function) || get_func_namespace(function) != PG_CATALOG_NAMESPACE) return nullptr;
    Oid* arguments = nullptr;
    int count = 0;
    get_func_signature(function, &arguments, &count);
    if (count != 2 || arguments[0] == INTERNALOID) return nullptr;  // not for SQL either
    return get_func_name(function);
  });
  if (hash == nullptr) return {};
  if (*hash == '\0') return sql;
  const std::string call = "pg_catalog." + std::string(hash) + "(";
  switch (protect([&] { return getBaseType(type); })) {
    case BYTEAOID:
      return call + sql + ")";
    case BITOID:
      return call + "pg_catalog.bit_send(" + sql + "))";
    case VARBITOID:
      return call + "pg_catalog.varbit_send(" + sql + "))";
    default:
      return call + sql + ", '0'::bigint)";
  }
}

std::string qualified_part(std::string printed) {
  static constexpr const char kSchema[] = "pg_catalog.";
  if (const size_t inner = printed.find('(') + 1; printed.compare(inner, 8, "bit_send") == 0 || printed.compare(inner, 11, "varbit_send") == 0) {
    printed.insert(inner, kSchema);
  }
  return kSchema + printed;
}

std::string index_obstacle(const FeatureExpression& expression) {
  if (!expression.is_immutable) return expression.text + " depends on the session's settings";
  if (!indexed_part(expression.text, expression.type, expression.collation).empty()) return {};
  const char* type = protect([&] { return format_type_be(expression.type); });
  return "type " + std::string(type) + " of " + expression.text + " has no hash that agrees with its equality";
}

}  // namespace fraud::pg
