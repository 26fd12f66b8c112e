#include "pg/rules/foreign_code.h"

#include "pg/server/compat_plans.h"

extern "C" {
#include "access/transam.h"
#include "catalog/pg_namespace.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"
}

namespace fraud::pg {

namespace {

enum class TypeKind { kPlain, kEnum, kForeign };

// `checked`: of a value that a domain has let in, as a column has.
TypeKind kind_of(Oid type, bool checked) {
  if (checked) type = getBaseType(type);
  if (type < FirstNormalObjectId) return TypeKind::kPlain;
  const Oid element = get_element_type(type);
  if (OidIsValid(element)) return kind_of(element, checked);
  return type_is_enum(type) ? TypeKind::kEnum : TypeKind::kForeign;
}

// Not Postgres's own, or one that reads relations by name: a view runs the functions of who made it.
bool is_foreign_function(Oid function, const ForeignCode& found) {
  switch (function) {
    case F_TABLE_TO_XML:
    case F_TABLE_TO_XML_AND_XMLSCHEMA:
    case F_SCHEMA_TO_XML:
    case F_SCHEMA_TO_XML_AND_XMLSCHEMA:
    case F_DATABASE_TO_XML:
    case F_DATABASE_TO_XML_AND_XMLSCHEMA:
#if PG_VERSION_NUM >= 160000
    case F_PG_INPUT_IS_VALID:  // of a domain
    case F_PG_INPUT_ERROR_INFO:
#endif
      return true;
    default:
      // Ours, too, read what they are told to, and run what others have left with us.
      return get_func_namespace(function) != PG_CATALOG_NAMESPACE && function != found.in_list && function != found.in_list_at;
  }
}

bool note_function(Oid function, void* context) {
  auto* found = static_cast<ForeignCode*>(context);
  if (is_foreign_function(function, *found)) {
    found->names = list_append_unique(found->names, makeString(format_procedure_qualified(function)));
  }
  return false;
}

void note_type(Oid type, ForeignCode* found) { found->names = list_append_unique(found->names, makeString(format_type_be_qualified(type))); }

// Whether the node's own type is one of a user's, other than an enum: casts of it, and domains in it, may run anything.
bool is_of_foreign_type(::Node* node) {
  switch (nodeTag(node)) {
    case T_Var:
      return kind_of(exprType(node), true) == TypeKind::kForeign;
    case T_Const:
    case T_FuncExpr:
    case T_OpExpr:
    case T_RelabelType:
    case T_CoerceViaIO:
    case T_ArrayCoerceExpr:
    case T_ConvertRowtypeExpr:
    case T_RowExpr:
    case T_ArrayExpr:
#if PG_VERSION_NUM >= 170000
    case T_JsonExpr:
#endif
      return kind_of(exprType(node), false) == TypeKind::kForeign;
    case T_CoerceToDomain:
      return true;
    default:
      return false;
  }
}

// Whether a function takes enums as such, and with `arrays` arrays of them, and not whatever it is given.
bool takes_enums_only(Oid function, bool arrays) {
  Oid* types = nullptr;
  int count = 0;
  (void)get_func_signature(function, &types, &count);
  for (int i = 0; i < count; ++i) {
    if (types[i] == ANYENUMOID || (arrays && (types[i] == ANYARRAYOID || types[i] == ANYCOMPATIBLEARRAYOID))) continue;
    if (get_typtype(types[i]) == TYPTYPE_PSEUDO) return false;
  }
  return true;
}

// Whether nothing but Postgres's own code is run by what the node does to an enum's value.
bool may_take_enum(::Node* node, const ForeignCode& found) {
  switch (nodeTag(node)) {
    case T_OpExpr:
    case T_DistinctExpr:
    case T_NullIfExpr:
      return takes_enums_only(reinterpret_cast<OpExpr*>(node)->opfuncid, true);
    case T_ScalarArrayOpExpr:
      return takes_enums_only(reinterpret_cast<ScalarArrayOpExpr*>(node)->opfuncid, true);
    case T_FuncExpr: {
      const Oid function = reinterpret_cast<FuncExpr*>(node)->funcid;
      return function == found.in_list || function == found.in_list_at || takes_enums_only(function, false);
    }
    case T_RowCompareExpr:
    case T_NullTest:
    case T_CaseExpr:
    case T_CoalesceExpr:
    case T_MinMaxExpr:
    case T_ArrayExpr:
    case T_SubscriptingRef:
    case T_RelabelType:
    case T_CoerceViaIO:
    case T_ArrayCoerceExpr:
      return true;
    default:
      return false;
  }
}

// Notes a node's child that is an enum.
bool note_enum(::Node* child, void* context) {
  if (child == nullptr) return false;
  if (IsA(child, List)) return walk_expression(child, note_enum, context);
  const Oid type = exprType(child);
  if (kind_of(type, IsA(child, Var)) == TypeKind::kEnum) note_type(type, static_cast<ForeignCode*>(context));
  return false;
}

bool has_foreign_function(::Node* node, void* context) {
  if (node == nullptr) return false;
  ForeignCode found;
  (void)check_functions_in_node(node, note_function, &found);
  return found.names != NIL || walk_expression(node, has_foreign_function, context);
}

// A constant that is cast to a domain, checked and without the cast; else the expression as it is.
Expr* as_base(Expr* value) {
  if (!IsA(value, CoerceToDomain)) return value;
  const auto* cast = reinterpret_cast<CoerceToDomain*>(value);
  auto* arg = reinterpret_cast<::Node*>(cast->arg);
  if (contain_var_clause(arg) || has_foreign_function(arg, nullptr)) return value;
  arg = eval_const_expressions(nullptr, arg);
  if (!IsA(arg, Const)) return value;
  const auto* constant = reinterpret_cast<Const*>(arg);
  domain_check(constant->constvalue, constant->constisnull, cast->resulttype, nullptr, nullptr);
  return reinterpret_cast<Expr*>(arg);
}

// The same of an array of constants; those of a constant array have been checked as it was read.
Expr* as_base_array(Expr* value) {
  const Oid type = get_element_type(exprType(reinterpret_cast<::Node*>(value)));
  const Oid base = OidIsValid(type) ? getBaseType(type) : InvalidOid;
  if (base == type || !OidIsValid(get_array_type(base))) return value;
  if (IsA(value, Const)) {
    auto* constant = static_cast<Const*>(copyObjectImpl(value));
    constant->consttype = get_array_type(base);
    if (!constant->constisnull) {
      ArrayType* array = DatumGetArrayTypePCopy(constant->constvalue);
      array->elemtype = base;
      constant->constvalue = PointerGetDatum(array);
    }
    return reinterpret_cast<Expr*>(constant);
  }
  if (!IsA(value, ArrayExpr) || reinterpret_cast<ArrayExpr*>(value)->multidims) return value;
  auto* array = static_cast<ArrayExpr*>(copyObjectImpl(value));
  ListCell* cell;
  foreach (cell, array->elements) {
    lfirst(cell) = as_base(static_cast<Expr*>(lfirst(cell)));
    if (!IsA(lfirst(cell), Const)) return value;
  }
  array->element_typeid = base;
  array->array_typeid = get_array_type(base);
  return reinterpret_cast<Expr*>(array);
}

// Only where the value is taken as one of the type beneath: elsewhere its type may decide what is called.
::Node* check_constants(::Node* node, void* context) {
  if (node == nullptr) return nullptr;
  ::Node* done = mutate_expression(node, check_constants, context);
  if (IsA(done, RelabelType)) {
    auto* cast = reinterpret_cast<RelabelType*>(done);
    cast->arg = as_base(cast->arg);
  } else if (IsA(done, CoerceViaIO)) {
    auto* cast = reinterpret_cast<CoerceViaIO*>(done);
    cast->arg = as_base(cast->arg);
  } else if (IsA(done, ArrayCoerceExpr)) {
    auto* cast = reinterpret_cast<ArrayCoerceExpr*>(done);
    cast->arg = as_base_array(cast->arg);
  }
  return done;
}

}  // namespace

void note_foreign_code(::Node* node, ForeignCode* found) {
  if (IsA(node, List)) return;
  if (is_of_foreign_type(node)) note_type(exprType(node), found);
  (void)check_functions_in_node(node, note_function, found);
  if (!may_take_enum(node, *found)) (void)walk_expression(node, note_enum, found);
}

::Node* check_domain_constants(::Node* expression) { return check_constants(expression, nullptr); }

}  // namespace fraud::pg
