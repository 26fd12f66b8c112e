// The planner's settings for statements of ours whose best plan is known beforehand.
#pragma once

namespace fraud::pg {

// Until the GUC level ends, plans read tables by their indexes alone, in the indexes' order,
// whatever size the tables have while they are planned. Throws PgError.
void plan_index_scans_alone();

// Until the transaction or the level of settings ends: plans are made for look-ups by
// key, whatever size the tables had when they were first planned. With the statistics
// of an empty table, an index on the time alone looks as good as the one on card and
// time. A join of many keys with a table that was small when it was planned reads all of it;
// so such look-ups are LATERAL with OFFSET 0, which leaves nothing but the key's own index.
void prefer_index_scans();

}  // namespace fraud::pg
