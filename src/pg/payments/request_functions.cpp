// What add_source asks of a request, before the ingest worker makes one of it.
#include "core/requests/request.h"

#include "pg/server/boundary.h"

using namespace fraud;
using namespace fraud::pg;

// fraud._check_request(request, secrets)
FRAUD_FUNCTION(check_request) {
  struct Arguments {
    const char *request, *secrets;
  };
  const auto [request, secrets] = protect([&] {
    Jsonb* first = PG_GETARG_JSONB_P(0);
    Jsonb* second = PG_GETARG_JSONB_P(1);
    return Arguments{JsonbToCString(nullptr, &first->root, static_cast<int>(VARSIZE(first))),
                     JsonbToCString(nullptr, &second->root, static_cast<int>(VARSIZE(second)))};
  });
  (void)Request::parse(request, secrets);
  return (Datum)0;
}
