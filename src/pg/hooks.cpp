// Plain Postgres code: no C++ object lives here, so errors may pass through.
//
// A worker is a session of its database, and DROP DATABASE, ALTER DATABASE …
// RENAME or SET TABLESPACE and CREATE DATABASE … TEMPLATE refuse databases with
// other sessions. So the workers are ended before such a statement and come back
// after it, if there is still a database. DROP EXTENSION, however it comes about,
// wakes the workers at COMMIT, which then find nothing and end.
#include "pg/hooks.h"

#include "pg/server/server.h"
#include "pg/server/shared_state.h"
#include "pg/training/training_state.h"

extern "C" {
#include "access/htup_details.h"
#include "catalog/dependency.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_extension.h"
#include "commands/dbcommands.h"
#include "commands/defrem.h"
#include "commands/extension.h"
#include "nodes/parsenodes.h"
#include "tcop/utility.h"
#include "utils/syscache.h"
}

namespace fraud::pg {

namespace {

ProcessUtility_hook_type previous_utility = nullptr;
object_access_hook_type previous_access = nullptr;

// As have_createdb_privilege(), which older releases of 15 do not export.
bool may_create_databases(Oid role) {
  if (superuser_arg(role)) return true;
  HeapTuple tuple = SearchSysCache1(AUTHOID, ObjectIdGetDatum(role));
  if (!HeapTupleIsValid(tuple)) return false;
  const bool may = ((Form_pg_authid)GETSTRUCT(tuple))->rolcreatedb;
  ReleaseSysCache(tuple);
  return may;
}

// Returns the database that the statement needs without sessions, and that the
// user may do this to; InvalidOid for other statements.
Oid database_needed_alone(Node* statement) {
  const char* name = nullptr;
  bool owner_only = true;
  switch (nodeTag(statement)) {
    case T_DropdbStmt:
      name = ((DropdbStmt*)statement)->dbname;
      break;
    case T_RenameStmt:
      if (((RenameStmt*)statement)->renameType == OBJECT_DATABASE) {
        name = ((RenameStmt*)statement)->subname;
      }
      break;
    case T_AlterDatabaseStmt: {
      AlterDatabaseStmt* alter = (AlterDatabaseStmt*)statement;
      ListCell* cell;
      foreach (cell, alter->options) {
        if (strcmp(((DefElem*)lfirst(cell))->defname, "tablespace") == 0) name = alter->dbname;
      }
      break;
    }
    case T_CreatedbStmt: {
      CreatedbStmt* create = (CreatedbStmt*)statement;
      ListCell* cell;
      owner_only = false;
      foreach (cell, create->options) {
        DefElem* option = (DefElem*)lfirst(cell);
        if (strcmp(option->defname, "template") == 0 && option->arg != nullptr) {
          name = defGetString(option);
        }
      }
      break;
    }
    default:
      break;
  }
  if (name == nullptr) return InvalidOid;
  Oid database = get_database_oid(name, true);
  if (!OidIsValid(database) || database == MyDatabaseId) return InvalidOid;
  // Nobody stops the workers of a database that is not his own. (A template may
  // be copied by others; then it takes the right to create databases.)
  if (!owns_database(database, GetUserId()) && (owner_only || !may_create_databases(GetUserId()))) {
    return InvalidOid;
  }
  return database;
}

// Tells whether the statement drops this extension and the user may do that. What
// its training workers read, they hold locks on.
bool drops_extension(Node* statement) {
  if (nodeTag(statement) != T_DropStmt || ((DropStmt*)statement)->removeType != OBJECT_EXTENSION) {
    return false;
  }
  ListCell* cell;
  foreach (cell, ((DropStmt*)statement)->objects) {
    if (strcmp(strVal(lfirst(cell)), "fraud_detect") != 0) continue;
    Oid extension = get_extension_oid("fraud_detect", true);
    return OidIsValid(extension) && owns_extension(extension, GetUserId());
  }
  return false;
}

// What the hook stands before. A variable of it would be one that the jump out of PG_TRY may find changed.
void next_utility(PlannedStmt* statement, const char* query, bool read_only_tree,
                  ProcessUtilityContext context, ParamListInfo params, QueryEnvironment* environment,
                  DestReceiver* receiver, QueryCompletion* completion) {
  ProcessUtility_hook_type next =
      previous_utility != nullptr ? previous_utility : standard_ProcessUtility;
  next(statement, query, read_only_tree, context, params, environment, receiver, completion);
}

void utility(PlannedStmt* statement, const char* query, bool read_only_tree,
             ProcessUtilityContext context, ParamListInfo params, QueryEnvironment* environment,
             DestReceiver* receiver, QueryCompletion* completion) {
  if (have_shared_state() && drops_extension(statement->utilityStmt)) end_training(MyDatabaseId);
  Oid database =
      have_shared_state() ? database_needed_alone(statement->utilityStmt) : InvalidOid;
  if (!OidIsValid(database)) {
    next_utility(statement, query, read_only_tree, context, params, environment, receiver, completion);
    return;
  }
  PG_TRY();
  {
    pause_database(database);
    end_training(database);
    next_utility(statement, query, read_only_tree, context, params, environment, receiver, completion);
  }
  PG_FINALLY();
  { resume_database(database); }
  PG_END_TRY();
}

void object_access(ObjectAccessType access, Oid class_id, Oid object, int sub, void* argument) {
  if (previous_access != nullptr) previous_access(access, class_id, object, sub, argument);
  if (access != OAT_DROP || class_id != ExtensionRelationId) return;
  char* name = get_extension_name(object);
  if (name != nullptr && strcmp(name, "fraud_detect") == 0) {
    for (int kind = 0; kind < kWorkerKinds; ++kind) wake_at_commit((WorkerKind)kind);
  }
}

}  // namespace

void install_hooks() {
  previous_utility = ProcessUtility_hook;
  ProcessUtility_hook = utility;
  previous_access = object_access_hook;
  object_access_hook = object_access;
}

}  // namespace fraud::pg
