// What differs between Postgres's versions, as compat.h has it, for those who write tables themselves.
#pragma once

#include "pg/server/server.h"

extern "C" {
#include "access/genam.h"
#include "access/tableam.h"
#include "nodes/execnodes.h"
}

namespace fraud::pg {

// Which indexes must learn of a row that was changed.
#if PG_VERSION_NUM >= 160000
using IndexUpdates = TU_UpdateIndexes;
inline bool wants_indexes(IndexUpdates updates) { return updates != TU_None; }
inline bool wants_summarizing_only(IndexUpdates updates) { return updates == TU_Summarizing; }
inline bool is_summarizing(const IndexInfo* info) { return info->ii_Summarizing; }
#else
using IndexUpdates = bool;
inline bool wants_indexes(IndexUpdates updates) { return updates; }
inline bool wants_summarizing_only(IndexUpdates) { return false; }
inline bool is_summarizing(const IndexInfo*) { return false; }
#endif

// Ends what index_insert() keeps from call to call.
inline void clean_up_index_insert([[maybe_unused]] Relation index, [[maybe_unused]] IndexInfo* info) {
#if PG_VERSION_NUM >= 170000
  index_insert_cleanup(index, info);
#endif
}

}  // namespace fraud::pg
