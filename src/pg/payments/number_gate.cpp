#include "pg/payments/number_gate.h"

#include "pg/server/boundary.h"

#include <cstring>

#include "pg/server/owner_scope.h"

extern "C" {
#include "utils/acl.h"
}

namespace fraud::pg {

namespace {

bool has_owners_rights(Oid role) {
  Oid owner = fraud_owner();
  return role != kUnknownRole && protect([&] { return has_privs_of_role(role, owner); });
}

}  // namespace

NumberGate::NumberGate(Oid role) : role_(role) {
  if (!OidIsValid(role)) return;
  is_limited_ = !has_owners_rights(role);
  Oid session = GetSessionUserId();
  if (is_limited_ && session != role && !has_owners_rights(session)) session_ = session;
}

bool NumberGate::may_ask(const pg_uuid_t& hash) {
  return !is_limited_ || protect([&] { return take_number(role_, session_, hash); });
}

void NumberGate::see(std::string_view number, const pg_uuid_t& hash) {
  SeenNumber seen;
  // What is no card number stands after its kind ("iban:").
  number.remove_prefix(number.find(':') + 1);
  constexpr size_t kShown = sizeof(seen.bin) + sizeof(seen.last_four);
  if (!OidIsValid(role_) || number.size() <= kShown) return;
  memcpy(seen.bin, number.data(), sizeof(seen.bin));
  memcpy(seen.last_four, number.data() + number.size() - sizeof(seen.last_four), sizeof(seen.last_four));
  seen.hash = hash;
  seen_.push_back(seen);
}

void NumberGate::tell() {
  protect([&] { note_numbers(role_, seen_.data(), seen_.size()); });
  seen_.clear();
}

}  // namespace fraud::pg
