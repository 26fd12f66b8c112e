// What add_source and add_channel ask of a URL: libcurl reads it, so that the check sees
// what the workers will connect to.
#include <algorithm>

#include "core/base/json_text.h"
#include "pg/server/boundary.h"
#include "pg/server/gucs.h"
#include "worker/network/destination.h"
#include "worker/process.h"

using namespace fraud;
using namespace fraud::pg;
using namespace fraud::worker;

namespace {

bool has_credential(const std::string& headers) {
  const auto members = json_members(headers);
  return members && std::any_of(members->begin(), members->end(), [](const auto& member) { return may_be_credential(member.first); });
}

}  // namespace

// fraud._check_destination(what, url, schemes, headers, has_secret)
FRAUD_FUNCTION(check_destination) {
  struct Arguments {
    const char *what, *url, *schemes, *headers;
  };
  auto [what_text, url, schemes, headers] = protect([&] {
    for (int i = 0; i < 5; ++i) {
      if (PG_ARGISNULL(i)) {
        ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("argument %d must not be null", i + 1)));
      }
    }
    Jsonb* json = PG_GETARG_JSONB_P(3);
    return Arguments{text_to_cstring(PG_GETARG_TEXT_PP(0)), text_to_cstring(PG_GETARG_TEXT_PP(1)),
                     text_to_cstring(PG_GETARG_TEXT_PP(2)),
                     JsonbToCString(nullptr, &json->root, static_cast<int>(VARSIZE(json)))};
  });
  const std::string what(what_text);
  const bool mail = std::string_view(schemes).substr(0, 4) == "smtp";
  Destination destination(url, schemes);
  // The URL itself may hold a key, so it is not repeated.
  if (!destination.fault.empty()) {
    const char* hint = !destination.has_user ? ""
                       : mail                ? "Credentials go into smtp_user and smtp_password."
                                             : "Credentials go into headers.";
    throw SqlError(ERRCODE_INVALID_PARAMETER_VALUE, "invalid " + what, destination.fault, hint);
  }
  // What a proxy looks up, it alone knows; the worker asks again when it connects.
  std::string reason = network_limits(0).policy->refusal(destination.host, destination.port);
  if (!reason.empty()) {
    reason[0] = pg_toupper(static_cast<unsigned char>(reason[0]));
    throw SqlError(ERRCODE_INSUFFICIENT_PRIVILEGE,
                   what + " leads to " + destination.text() + ", which may not be contacted", reason + ".",
                   "fraud_detect.allowed_hosts says which hosts may be; a superuser can change it.");
  }
  reason = credentials_fault(destination, PG_GETARG_BOOL(4) || has_credential(headers));
  if (!reason.empty()) {
    throw SqlError(ERRCODE_INVALID_PARAMETER_VALUE, reason,
                   what + " has headers that may be credentials, or a secret: on the way anybody could read or change them.",
                   "Use https://.");
  }
  return (Datum)0;
}
