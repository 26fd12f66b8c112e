#include "pg/server/plan_settings.h"

#include "pg/server/boundary.h"

namespace fraud::pg {

namespace {

void turn_off(const char* setting) {
  // Mostly another level of settings has turned it off.
  const char* now = GetConfigOption(setting, false, false);
  if (now != nullptr && strcmp(now, "off") == 0) return;
  (void)set_config_option(setting, "off", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
}

}  // namespace

void plan_index_scans_alone() {
  protect([] {
    for (const char* setting : {"enable_seqscan", "enable_bitmapscan", "enable_hashjoin", "enable_mergejoin",
                                // What is disabled counts as costly, which is no reason to compile.
                                "jit"}) {
      turn_off(setting);
    }
    for (const char* setting : kSortingSettings) turn_off(setting);
  });
}

void prefer_index_scans() {
  plan_index_scans_alone();
  protect([] {
    (void)set_config_option("plan_cache_mode", "force_generic_plan", PGC_USERSET, PGC_S_SESSION,
                            GUC_ACTION_SAVE, true, 0, false);
  });
}

}  // namespace fraud::pg
