// Notes acts of C++ functions in fraud.audit_log.
#pragma once

#include <string_view>

#include "pg/server/server.h"

namespace fraud::pg {

// Notes that the caller did `action` to the object: one row, with this transaction.
// `details` is a JSON object without secrets, what is now; empty for none.
void note_act(const char* action, const char* kind, std::string_view name, std::string_view details = {});

}  // namespace fraud::pg
