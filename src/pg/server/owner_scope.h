// Runs the extension's own statements with its owner's rights.
#pragma once

#include "pg/server/server.h"

namespace fraud::pg {

// Until the end of its life: the current user is the owner of the schema fraud,
// as in a SECURITY DEFINER function, and search_path is pinned, so that nothing
// that the caller created is found in place of a built-in operator. Whoever may
// execute one of our C functions thereby reads and writes our tables through it,
// and only through it. Ends of the transaction undo both by themselves.
class OwnerScope {
 public:
  OwnerScope();  // throws SqlError when the extension is not installed here
  ~OwnerScope() noexcept;
  OwnerScope(const OwnerScope&) = delete;
  OwnerScope& operator=(const OwnerScope&) = delete;

 private:
  Oid user_ = InvalidOid;
  int security_context_ = 0;
  int guc_level_ = 0;
  int exceptions_ = 0;
};

// Returns the oid of the schema fraud; throws SqlError when there is none.
Oid fraud_schema();
// Returns its owner, who is the extension's.
Oid fraud_owner();

}  // namespace fraud::pg
