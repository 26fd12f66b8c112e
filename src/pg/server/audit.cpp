#include "pg/server/audit.h"

#include "pg/server/boundary.h"
#include "pg/server/owner_scope.h"
#include "pg/server/spi.h"

namespace fraud::pg {

namespace {

Statement note("SELECT fraud._audit($1, $2, $3, NULL, $4::jsonb)", {TEXTOID, TEXTOID, TEXTOID, TEXTOID});

}  // namespace

void note_act(const char* action, const char* kind, std::string_view name, std::string_view details) {
  OwnerScope owner;
  Spi spi;
  spi.run(note, {text_param(action), text_param(kind), text_param(name), optional_text_param(details)});
}

}  // namespace fraud::pg
