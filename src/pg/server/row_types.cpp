#include "pg/server/row_types.h"

namespace fraud::pg {

bool is_transactions_type(Oid type) {
  Oid relation = get_typ_typrelid(type);
  if (!OidIsValid(relation)) return false;
  char* schema = get_namespace_name(get_rel_namespace(relation));
  char* name = get_rel_name(relation);
  return schema != nullptr && name != nullptr && strcmp(schema, "fraud") == 0 &&
         (strcmp(name, "transactions") == 0 ||
          (get_rel_relispartition(relation) && strncmp(name, "transactions_", 13) == 0));
}

int attribute_named(TupleDesc descriptor, const char* name, size_t length) {
  for (int i = 0; i < descriptor->natts; ++i) {
    Form_pg_attribute attribute = TupleDescAttr(descriptor, i);
    const char* its_name = NameStr(attribute->attname);
    if (!attribute->attisdropped && strlen(its_name) == length &&
        memcmp(its_name, name, length) == 0) {
      return i;
    }
  }
  return -1;
}

}  // namespace fraud::pg
