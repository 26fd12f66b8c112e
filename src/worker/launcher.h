// Finds the databases that have the extension and keeps their workers running.
#pragma once

namespace fraud::worker {

// Registers the launcher with the postmaster; called by _PG_init.
void register_launcher_worker();

}  // namespace fraud::worker
