#include "pg/features/feature_expression.h"

#include "pg/server/boundary.h"
#include "pg/server/compat_functions.h"

extern "C" {
#include "access/nbtree.h"
#include "access/relation.h"
#include "optimizer/optimizer.h"
#include "parser/parse_coerce.h"
#include "parser/parse_collate.h"
#include "parser/parse_expr.h"
#include "parser/parse_relation.h"
#include "parser/parser.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"
}

namespace fraud::pg {

namespace {

// What reads the clock gives another value each time it is computed.
bool reads_clock_function(Oid function, void*) {
  switch (function) {
    case F_NOW:
    case F_STATEMENT_TIMESTAMP:
    case F_AGE_TIMESTAMP:
    case F_AGE_TIMESTAMPTZ:
      return true;
    default:
      return false;
  }
}

bool reads_clock(::Node* node, void* context) {
  if (node == nullptr) return false;
  if (IsA(node, SQLValueFunction)) return true;
  if (check_functions_in_node(node, reads_clock_function, context)) return true;
  return walk_expression(node, reads_clock, context);
}

// What is no error for any value: what Postgres says so of, and what keys are often made of.
bool may_fail_function(Oid function, void*) {
  switch (function) {
    case F_LOWER_TEXT:
    case F_UPPER_TEXT:
    case F_BTRIM_TEXT:
    case F_LTRIM_TEXT:
    case F_RTRIM_TEXT:
    case F_LEFT:
    case F_RIGHT:
    case kReverseText:
    case F_LENGTH_TEXT:
    case F_MD5_TEXT:
    case F_TEXTCAT:
    case F_TEXT_BPCHAR:
    case F_TEXT_BOOL:
    case F_JSONB_OBJECT_FIELD:
    case F_JSONB_OBJECT_FIELD_TEXT:
    case F_JSONB_ARRAY_ELEMENT:
    case F_JSONB_ARRAY_ELEMENT_TEXT:
    case F_JSONB_EXTRACT_PATH:
    case F_JSONB_EXTRACT_PATH_TEXT:
      return false;
    default:
      return !get_func_leakproof(function);
  }
}

bool may_fail(::Node* node, void* context) {
  if (node == nullptr) return false;
  switch (nodeTag(node)) {
    case T_CoerceViaIO: {
      // Writing a value as text does not fail; reading one does.
      auto* coercion = reinterpret_cast<CoerceViaIO*>(node);
      return coercion->resulttype != TEXTOID || may_fail(reinterpret_cast<::Node*>(coercion->arg), context);
    }
    case T_CoerceToDomain:
    case T_XmlExpr:
      return true;
    default:
      if (check_functions_in_node(node, may_fail_function, context)) return true;
      return walk_expression(node, may_fail, context);
  }
}

struct Parsed {
  const char* text;
  Oid type;
  Oid collation;
  bool is_immutable;
  bool may_fail;
  Bitmapset* columns;  // attribute numbers, offset by FirstLowInvalidHeapAttributeNumber
};

// Parses all of the list into an array; runs inside protect().
Parsed* parse_list(Oid relation_oid, const char* text, int* count) {
  List* targets = plain_target_list(raw_parser(text, RAW_PARSE_PLPGSQL_EXPR));
  if (targets == nullptr) {
    ereport(ERROR, (errcode(ERRCODE_SYNTAX_ERROR), errmsg("it is not an expression"),
                    errhint("An expression is written as in a SELECT list, without FROM or AS.")));
  }
  Relation relation = try_relation_open(relation_oid, AccessShareLock);
  if (relation == nullptr) {
    ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE), errmsg("the events are gone"),
                    errhint("Drop the set with fraud.drop_feature_set.")));
  }
  ParseState* state = make_parsestate(nullptr);
  ParseNamespaceItem* item =
      addRangeTableEntryForRelation(state, relation, AccessShareLock, nullptr, false, true);
  addNSItemToQuery(state, item, false, true, true);
  const char* name = get_rel_name(relation_oid);
  List* context = deparse_context_for(name, relation_oid);
  auto* result = static_cast<Parsed*>(palloc0(sizeof(Parsed) * (size_t)list_length(targets)));
  *count = 0;
  ListCell* cell;
  foreach (cell, targets) {
    ::Node* expression =
        transformExpr(state, lfirst_node(ResTarget, cell)->val, EXPR_KIND_INDEX_EXPRESSION);
    if (exprType(expression) == UNKNOWNOID) {
      expression = coerce_to_target_type(state, expression, UNKNOWNOID, TEXTOID, -1,
                                         COERCION_IMPLICIT, COERCE_IMPLICIT_CAST, -1);
    }
    assign_expr_collations(state, expression);
    if (contain_volatile_functions(expression)) {
      ereport(ERROR, (errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
                      errmsg("it calls a volatile function"),
                      errdetail("A feature must have the same value whenever it is computed."),
                      errhint("Take functions that are immutable or stable; \\df+ says which are.")));
    }
    if (reads_clock(expression, nullptr)) {
      ereport(ERROR, (errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
                      errmsg("it depends on the clock or the session"),
                      errdetail("A feature must have the same value whenever it is computed."),
                      errhint("The event's own time is a column of it.")));
    }
    Parsed* parsed = &result[(*count)++];
    pull_varattnos(expression, 1, &parsed->columns);
    // Where it is computed, the row is not called as its table is.
    if (bms_is_member(0 - FirstLowInvalidHeapAttributeNumber, parsed->columns)) {
      ereport(ERROR, (errcode(ERRCODE_INVALID_COLUMN_REFERENCE), errmsg("it uses the row as a whole"),
                      errhint("Name the columns.")));
    }
    for (int system = FirstLowInvalidHeapAttributeNumber + 1; system < 0; ++system) {
      if (bms_is_member(system - FirstLowInvalidHeapAttributeNumber, parsed->columns)) {
        ereport(ERROR, (errcode(ERRCODE_INVALID_COLUMN_REFERENCE),
                        errmsg("it uses a system column"), errdetail("Where it is computed, the row may not be stored yet."),
                        errhint("Take a column of the table's own.")));
      }
    }
    for (int i = 0; i < RelationGetNumberOfAttributes(relation); ++i) {
      const Form_pg_attribute column = TupleDescAttr(RelationGetDescr(relation), i);
      if (is_virtual(*column) && bms_is_member(column->attnum - FirstLowInvalidHeapAttributeNumber, parsed->columns)) {
        ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED), errmsg("column \"%s\" is generated when it is read", NameStr(column->attname)),
                        errdetail("Where it is computed, the row has no value of it."),
                        errhint("Generate it as STORED, or write its expression in its place.")));
      }
    }
    // Names were looked up as the caller sees them; they are printed for everybody.
    int level = NewGUCNestLevel();
    (void)set_config_option("search_path", "pg_catalog, pg_temp", PGC_USERSET, PGC_S_SESSION,
                            GUC_ACTION_SAVE, true, 0, false);
    parsed->text = deparse_expression(expression, context, false, false);
    AtEOXact_GUC(false, level);
    parsed->type = getBaseType(exprType(expression));
    // Planned as an index's expression is: what is inlined may be less than it seems.
    auto* planned = reinterpret_cast<::Node*>(expression_planner(static_cast<Expr*>(copyObjectImpl(expression))));
    parsed->is_immutable = !contain_mutable_functions(planned);
    parsed->may_fail = may_fail(planned, nullptr);
    parsed->collation = exprCollation(expression);
  }
  relation_close(relation, NoLock);
  return result;
}

}  // namespace

List* plain_target_list(List* parsed) {
  if (list_length(parsed) != 1) return nullptr;
  auto* select = reinterpret_cast<SelectStmt*>(linitial_node(RawStmt, parsed)->stmt);
  if (!IsA(select, SelectStmt) || select->targetList == NIL) return nullptr;
  if (select->distinctClause != NIL || select->intoClause != nullptr || select->fromClause != NIL ||
      select->whereClause != nullptr || select->groupClause != NIL ||
      select->havingClause != nullptr || select->windowClause != NIL ||
      select->valuesLists != NIL || select->sortClause != NIL || select->limitOffset != nullptr ||
      select->limitCount != nullptr || select->lockingClause != NIL ||
      select->withClause != nullptr || select->op != SETOP_NONE) {
    return nullptr;
  }
  ListCell* cell;
  foreach (cell, select->targetList) {
    auto* target = lfirst_node(ResTarget, cell);
    if (target->name != nullptr || target->indirection != NIL) return nullptr;
  }
  return select->targetList;
}

std::string in_our_words(std::string message, std::string_view many, std::string_view one) {
  for (const auto& [theirs, ours] : {std::pair<std::string_view, std::string_view>{"index expressions", many}, {"index expression", one}}) {
    const size_t at = message.find(theirs);
    if (at != std::string::npos) message.replace(at, theirs.size(), ours);
  }
  return message;
}

std::vector<FeatureExpression> parse_expressions(Oid relation, const char* what,
                                                 std::string_view text) {
  std::string copy(text);
  const char* source = copy.c_str();
  int count = 0;
  Parsed* parsed = nullptr;
  try {
    parsed = protect([&] { return parse_list(relation, source, &count); });
  } catch (const PgError& error) {
    const ErrorData* data = error.data();
    auto or_empty = [](const char* part) { return std::string(part != nullptr ? part : ""); };
    std::string hint = or_empty(data->hint);
    if (hint.empty() && data->sqlerrcode == ERRCODE_UNDEFINED_COLUMN) {
      hint = "It may name the columns of " + std::string(protect([&] { return get_rel_name(relation); })) + ".";
    }
    throw SqlError(data->sqlerrcode,
                   "invalid " + std::string(what) + " \"" + copy + "\": " + in_our_words(or_empty(data->message), "expressions", "an expression"),
                   or_empty(data->detail), hint);
  }
  std::vector<FeatureExpression> result;
  for (int i = 0; i < count; ++i) {
    FeatureExpression expression;
    expression.text = parsed[i].text;
    expression.type = parsed[i].type;
    expression.collation = parsed[i].collation;
    expression.is_immutable = parsed[i].is_immutable;
    expression.may_fail = parsed[i].may_fail;
    for (int member = -1; (member = bms_next_member(parsed[i].columns, member)) >= 0;) {
      const int attribute = member + FirstLowInvalidHeapAttributeNumber;
      if (attribute <= 0) continue;
      const char* name =
          protect([&] { return get_attname(relation, (AttrNumber)attribute, false); });
      expression.columns.emplace_back(name);
    }
    result.push_back(std::move(expression));
  }
  return result;
}

FeatureExpression parse_expression(Oid relation, const char* what, std::string_view text) {
  std::vector<FeatureExpression> list = parse_expressions(relation, what, text);
  if (list.size() != 1) {
    throw SqlError(ERRCODE_SYNTAX_ERROR, "invalid " + std::string(what) + " \"" + std::string(text) +
                                             "\": expected one expression, not " +
                                             std::to_string(list.size()));
  }
  return list[0];
}

bool is_numeric_type(Oid type) {
  switch (type) {
    case INT2OID:
    case INT4OID:
    case INT8OID:
    case FLOAT4OID:
    case FLOAT8OID:
    case NUMERICOID:
    case BOOLOID:
      return true;
    default:
      return false;
  }
}

std::string as_number(const FeatureExpression& expression) {
  std::string text = "(" + expression.text + ")";
  if (expression.type == NUMERICOID) return text;
  if (expression.type == BOOLOID) text += "::pg_catalog.int4";
  return text + "::pg_catalog.float8";
}

bool equality_is_image(Oid type, Oid collation) {
  return protect([&] {
    // Blanks at its end do not count, whatever its operator class says of itself, which differs between releases.
    if (getBaseType(type) == BPCHAROID) return false;
    TypeCacheEntry* entry = lookup_type_cache(type, TYPECACHE_BTREE_OPFAMILY);
    if (!OidIsValid(entry->btree_opf)) return false;
    Oid function =
        get_opfamily_proc(entry->btree_opf, entry->btree_opintype, entry->btree_opintype,
                          BTEQUALIMAGE_PROC);
    return OidIsValid(function) &&
           DatumGetBool(OidFunctionCall1Coll(function, collation,
                                             ObjectIdGetDatum(entry->btree_opintype)));
  });
}

}  // namespace fraud::pg
