// Every test of the Postgres version, 15 to 18. Included by pg/server/server.h alone.
#pragma once

#if PG_VERSION_NUM < 150000
#error "fraud_detect needs PostgreSQL 15 or later"
#endif

extern "C" {
#include "access/genam.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_class.h"
#include "catalog/pg_database.h"
#include "catalog/pg_proc.h"
#include "executor/executor.h"
#include "nodes/nodeFuncs.h"
#include "catalog/pg_extension.h"
#include "utils/acl.h"
#include "storage/lock.h"
#include "utils/formatting.h"
#if PG_VERSION_NUM >= 160000
#include "nodes/miscnodes.h"
#endif
#if PG_VERSION_NUM >= 170000
#include "storage/procnumber.h"
#else
#include "storage/backendid.h"
#endif
}

namespace fraud::pg {

// A number that no other session has at the same time, from 0 or 1 on.
inline int session_number() {
#if PG_VERSION_NUM >= 170000
  return MyProcNumber;
#else
  return MyBackendId;
#endif
}

// Tells whether the role owns the database.
inline bool owns_database(Oid database, Oid role) {
#if PG_VERSION_NUM >= 160000
  return object_ownercheck(DatabaseRelationId, database, role);
#else
  return pg_database_ownercheck(database, role);
#endif
}

// Tells whether the role owns the table or view.
inline bool owns_relation(Oid relation, Oid role) {
#if PG_VERSION_NUM >= 160000
  return object_ownercheck(RelationRelationId, relation, role);
#else
  return pg_class_ownercheck(relation, role);
#endif
}

// Tells whether a column is generated when it is read, as 18 has them: a row as it is stored, or as a trigger gets it, has no
// value of it.
inline bool is_virtual(const FormData_pg_attribute& column) {
#if PG_VERSION_NUM >= 180000
  return column.attgenerated == ATTRIBUTE_GENERATED_VIRTUAL;
#else
  (void)column;
  return false;
#endif
}

// Visits the children of an expression's node.
inline bool walk_expression(::Node* node, bool (*walker)(::Node*, void*), void* context) {
#if PG_VERSION_NUM >= 160000
  return expression_tree_walker(node, walker, context);
#else
  return expression_tree_walker(
      node, reinterpret_cast<bool (*)()>(reinterpret_cast<void*>(walker)), context);
#endif
}

// Begins a scan of an index by keys, which index_rescan() gives.
inline IndexScanDesc begin_index_scan(Relation heap, Relation index, Snapshot snapshot, int keys) {
#if PG_VERSION_NUM >= 180000
  return index_beginscan(heap, index, snapshot, nullptr, keys, 0);
#else
  return index_beginscan(heap, index, snapshot, keys, 0);
#endif
}

// Adds a row that was written to the indexes of its table.
inline void insert_index_tuples(ResultRelInfo* result, TupleTableSlot* slot, EState* state) {
#if PG_VERSION_NUM >= 160000
  list_free(ExecInsertIndexTuples(result, slot, state, false, false, nullptr, NIL, false));
#else
  list_free(ExecInsertIndexTuples(result, slot, state, false, false, nullptr, NIL));
#endif
}

// Tells whether the current user may call the function.
inline bool may_execute(Oid function) {
#if PG_VERSION_NUM >= 160000
  return object_aclcheck(ProcedureRelationId, function, GetUserId(), ACL_EXECUTE) == ACLCHECK_OK;
#else
  return pg_proc_aclcheck(function, GetUserId(), ACL_EXECUTE) == ACLCHECK_OK;
#endif
}

// Tells whether the role owns the extension.
inline bool owns_extension(Oid extension, Oid role) {
#if PG_VERSION_NUM >= 160000
  return object_ownercheck(ExtensionRelationId, extension, role);
#else
  return pg_extension_ownercheck(extension, role);
#endif
}

// Reads a text by a template of to_timestamp, as jsonpath's datetime() does: to the letter. A
// template that is none is an error; of a text that does not fit `*failed` says so.
inline Datum parse_time_by_template(text* value, text* time_template, Oid* type, int32* modifier, int* offset, bool* failed) {
  constexpr Oid kCollation = 950;  // C
#if PG_VERSION_NUM >= 160000
  ErrorSaveContext context = {T_ErrorSaveContext};
  Datum time = parse_datetime(value, time_template, kCollation, true, type, modifier, offset, reinterpret_cast<::Node*>(&context));
  *failed = context.error_occurred;
  return time;
#else
  return parse_datetime(value, time_template, kCollation, true, type, modifier, offset, failed);
#endif
}

// Tells whether the session holds the lock, for itself or for its transaction.
inline bool holds_lock(const LOCKTAG& tag, LOCKMODE mode) {
#if PG_VERSION_NUM >= 170000
  return LockHeldByMe(&tag, mode, false);
#else
  return LockHeldByMe(&tag, mode);
#endif
}

// What the functions of common/base64.h take bytes as.
#if PG_VERSION_NUM >= 180000
using Base64Byte = uint8;
#else
using Base64Byte = char;
#endif

// The settings of the planner that let it sort; where sorting is off, all of them are:
// an aggregate that wants sorted rows would else cost too much in every plan alike.
constexpr const char* kSortingSettings[] = {
    "enable_sort",
    "enable_incremental_sort",
#if PG_VERSION_NUM >= 160000
    "enable_presorted_aggregate",
#endif
};

// Marks a prefix as ours, so that a misspelt setting is an error.
inline void reserve_guc_prefix(const char* prefix) { MarkGUCPrefixReserved(prefix); }

}  // namespace fraud::pg
