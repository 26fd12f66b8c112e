// What a caller who gives card numbers may learn of them.
#pragma once

#include <string_view>
#include <vector>

#include "pg/payments/number_watch.h"
#include "pg/server/server.h"

namespace fraud::pg {

// The role that stands for whoever is not known, such as one that was dropped.
constexpr Oid kUnknownRole = OID_MAX;

// One who gives numbers. The extension's owner and superusers can read the keys and
// are not limited; their numbers count for the alarm like all others.
class NumberGate {
 public:
  // In the session of somebody else than the role, what it asks for counts for both, so
  // that SET ROLE gains nothing. InvalidOid: nobody's, the numbers are made up.
  explicit NumberGate(Oid role);

  // Tells whether the caller may ask what is known of a number, and notes that he does.
  bool may_ask(const pg_uuid_t& hash);

  // Notes a number, whatever becomes of it; tell() hands what was noted to the watch.
  void see(std::string_view number, const pg_uuid_t& hash);
  void tell();

 private:
  Oid role_, session_ = InvalidOid;
  bool is_limited_ = false;
  std::vector<SeenNumber> seen_;
};

}  // namespace fraud::pg
