// Which expressions run code that is neither Postgres's nor ours. Such code can be changed by whoever owns it, after somebody else has
// looked at the condition, and runs with the rights of who evaluates it.
#pragma once

#include "pg/server/server.h"

namespace fraud::pg {

struct ForeignCode {
  Oid in_list = InvalidOid, in_list_at = InvalidOid;  // fraud.in_list, which is ours
  List* names = NIL;                                  // of String: functions and types that are not Postgres's
};

// Notes what the node runs, of itself, that is not Postgres's; plain Postgres code.
//
// An enum is only data: what compares, sorts, reads and writes it is Postgres's, in C. But there are functions that look for casts of
// what they are given (to_json), and a cast is whoever's made it; so an enum's value may be compared, be told apart from null, be
// chosen, stand in an array, become text and be looked for in a list, and makes the condition foreign anywhere else. A domain's value
// has been checked when it was stored, and is as one of the type beneath; a cast to a domain runs its checks.
void note_foreign_code(::Node* node, ForeignCode* found);

// Has constants of a domain, and arrays of them, that are taken as values of the type beneath be checked now, and be of that type from
// then on: what the domain allows later is no matter of theirs. Plain Postgres code.
::Node* check_domain_constants(::Node* expression);

}  // namespace fraud::pg
