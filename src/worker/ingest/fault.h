// What an error says of the payments that met it: whether they are to be tried again.
#pragma once

#include <cstdint>

extern "C" {
#include "postgres.h"

#include "utils/elog.h"
}

namespace fraud::worker {

// What an error says of what is to be done with the payment that met it, or the piece of an answer.
enum class Fault {
  kItsOwn,   // the payment's: it is rejected
  kLocked,   // somebody is in the way: tried again until he is gone
  kUnclear,  // tried again some times, whatever becomes of others
  kSystems,  // most likely the system's, which rejecting payments would not mend: tried again
             // until it goes, or until others have been stored so often that it is this one's
};

// Whoever reads this list for what is missing: what is not named is the payment's own, and no
// class but a lock's keeps a payment waiting while others are stored.
inline Fault fault_of(int sqlstate) {
  if (sqlstate == ERRCODE_LOCK_NOT_AVAILABLE) return Fault::kLocked;
  switch (ERRCODE_TO_CATEGORY(sqlstate)) {
    case ERRCODE_TRANSACTION_ROLLBACK:  // deadlock, serialization
    case ERRCODE_INTERNAL_ERROR:
      return Fault::kUnclear;
    case ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE:  // a model without features
    case ERRCODE_SYNTAX_ERROR_OR_ACCESS_RULE_VIOLATION:
    case ERRCODE_INSUFFICIENT_RESOURCES:
    case ERRCODE_OPERATOR_INTERVENTION:
    case ERRCODE_SYSTEM_ERROR:
    case ERRCODE_INVALID_TRANSACTION_STATE:
      return Fault::kSystems;
    default:
      return Fault::kItsOwn;
  }
}

constexpr int64_t kUnclearAttempts = 10;  // within about ten seconds

}  // namespace fraud::worker
