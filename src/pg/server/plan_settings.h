// The planner's settings for statements of ours whose best plan is known beforehand.
#pragma once

namespace fraud::pg {

// Until the GUC level ends, plans read tables by their indexes alone, in the indexes' order,
// whatever size the tables have while they are planned. Throws PgError.
void plan_index_scans_alone();

}  // namespace fraud::pg
