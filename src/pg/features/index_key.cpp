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

std::string indexed_part(const std::string& sql, Oid type, Oid collation) {
  const char* hash = protect([&]() -> const char* {
    const Oid base = getBaseType(type);
    if (get_typlen(base) > 0) return "";
    // The collation of what it is compared to may be another.
    if (OidIsValid(collation) && !get_collation_isdeterministic(collation)) return nullptr;
    // That of bytea is not for SQL.
    if (base == BYTEAOID) return "sha256";
    const Oid function = lookup_type_cache(base, TYPECACHE_HASH_EXTENDED_PROC)->hash_extended_proc;
    if (!OidIsValid(function) || get_func_namespace(function) != PG_CATALOG_NAMESPACE) return nullptr;
    return get_func_name(function);
  });
  if (hash == nullptr) return {};
  if (*hash == '\0') return sql;
  const char* seed = getBaseType(type) == BYTEAOID ? "" : ", '0'::bigint";
  return "pg_catalog." + std::string(hash) + "(" + sql + seed + ")";
}

}  // namespace fraud::pg
