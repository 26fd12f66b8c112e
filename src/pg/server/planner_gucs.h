// Settings that the planner's help reads.
#pragma once

namespace fraud::pg {

extern bool guc_score_blocks;

}  // namespace fraud::pg
