// Runs the extension's own statements with its owner's rights.
#pragma once

#include "pg/server/server.h"

namespace fraud::pg {

// Until the end of its life: the current user is the owner of the schema fraud,
// as in a SECURITY DEFINER function, and search_path is pinned, so that nothing
// that the caller created is found in place of a built-in operator. Whoever may
// execute one of our C functions thereby reads and writes our tables through it,
// and only through it. Ends of the transaction undo both by themselves.
//
// It remembers who was the current user on entry: caller(). SQL's session_user is
// no answer to who calls, since code of one user runs in sessions of others: in a
// worker, in autovacuum, in what a superuser reads.
class OwnerScope {
 public:
  OwnerScope();  // throws SqlError when the extension is not installed here
  ~OwnerScope() noexcept;
  OwnerScope(const OwnerScope&) = delete;
  OwnerScope& operator=(const OwnerScope&) = delete;

 private:
  Oid user_ = InvalidOid;
  Oid outer_owner_ = InvalidOid;
  Oid outer_caller_ = InvalidOid;
  int security_context_ = 0;
  int guc_level_ = 0;
  int exceptions_ = 0;
};

// Returns who called: within an OwnerScope the user that entered it, else the
// current user. Never the session's user.
Oid caller() noexcept;

// Until the end of its life the current user is `role`, in a security-restricted
// operation: what it runs can neither change the role nor leave anything behind
// that would run later with other rights. search_path is pinned. Code that a user
// left with us (a condition, an expression, a view that training reads) runs in one.
class RestrictedScope {
 public:
  explicit RestrictedScope(Oid role);
  ~RestrictedScope() noexcept;
  RestrictedScope(const RestrictedScope&) = delete;
  RestrictedScope& operator=(const RestrictedScope&) = delete;

 private:
  Oid user_ = InvalidOid;
  int security_context_ = 0;
  int guc_level_ = 0;
  int exceptions_ = 0;
};

// Refuses to go on within a security-restricted operation: code that somebody left in
// an index, a materialized view, a feature or a condition must not store anything with
// the rights of whoever happens to run it. Throws SqlError that names the function.
void refuse_when_restricted(const char* function);

// Returns the oid of the schema fraud; throws SqlError when there is none.
Oid fraud_schema();
// Returns its owner, who is the extension's.
Oid fraud_owner();

}  // namespace fraud::pg
