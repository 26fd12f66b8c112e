// A worker's transactions, and what it does with their errors.
#pragma once

#include "pg/server/boundary.h"
#include "pg/server/owner_scope.h"

extern "C" {
#include "catalog/pg_extension.h"
#include "commands/extension.h"
#include "pgstat.h"
#include "storage/lmgr.h"
}

namespace fraud::worker {

// Runs body in a transaction that sees the extension, and returns true; returns
// false when there is none. The lock on the extension comes first, so that a DROP
// EXTENSION waits for us and we for it, and neither in the middle.
template <typename Body>
bool in_transaction(const char* activity, Body&& body) {
  using pg::protect;
  bool present = false;
  protect([&] {
    SetCurrentStatementStartTimestamp();
    StartTransactionCommand();
    pgstat_report_activity(STATE_RUNNING, activity);
  });
  try {
    protect([&] {
      Oid extension = get_extension_oid("fraud_detect", true);
      if (OidIsValid(extension)) {
        LockDatabaseObject(ExtensionRelationId, extension, 0, AccessShareLock);
        present = get_extension_oid("fraud_detect", true) == extension;
      }
      PushActiveSnapshot(GetTransactionSnapshot());
    });
    if (present) {
      pg::OwnerScope owner;
      body();
      // Deferred triggers run with the owner's rights too, not at COMMIT with ours.
      protect([] {
        if (SPI_connect() != SPI_OK_CONNECT ||
            SPI_execute("SET CONSTRAINTS ALL IMMEDIATE", false, 0) < 0) {
          elog(ERROR, "could not run deferred triggers");
        }
        SPI_finish();
      });
    }
    protect([] {
      PopActiveSnapshot();
      CommitTransactionCommand();
    });
  } catch (...) {
    protect([] { AbortCurrentTransaction(); });
    throw;
  }
  protect([] {
    pgstat_report_stat(false);
    pgstat_report_activity(STATE_IDLE, nullptr);
  });
  return present;
}

// Frees an error that was dealt with.
inline void forget(const pg::PgError& error) {
  pg::protect([&] { FreeErrorData(error.data()); });
}

// Tells whether a worker may note the error on the item it was at and go on: a
// statement that failed, not what ends a session.
inline bool may_go_on(const pg::PgError& error) {
  return error.data()->elevel == ERROR &&
         ERRCODE_TO_CATEGORY(error.data()->sqlerrcode) != ERRCODE_OPERATOR_INTERVENTION;
}

// Tells whether somebody has cancelled the statement, and not the session.
inline bool is_cancel(const pg::PgError& error) {
  return error.data()->elevel == ERROR && error.data()->sqlerrcode == ERRCODE_QUERY_CANCELED;
}

}  // namespace fraud::worker
