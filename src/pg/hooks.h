// Hooks that keep the ingest workers out of the way of other statements.
#pragma once

namespace fraud::pg {

// Sets them; called by _PG_init while shared_preload_libraries are loaded.
void install_hooks();

}  // namespace fraud::pg
