// What differs between PostgreSQL's versions for those who change plans.
#pragma once

#include "pg/server/server.h"

extern "C" {
#include "nodes/nodeFuncs.h"
#include "nodes/plannodes.h"
}

namespace fraud::pg {

inline ::Node* mutate_expression(::Node* node, ::Node* (*mutator)(::Node*, void*), void* context) {
#if PG_VERSION_NUM >= 160000
  return expression_tree_mutator(node, mutator, context);
#else
  return expression_tree_mutator(node, reinterpret_cast<::Node* (*)()>(reinterpret_cast<void*>(mutator)), context);
#endif
}

// Gives a node that is put above another the other's costs.
inline void copy_costs(Plan* to, const Plan* from) {
  to->startup_cost = from->startup_cost;
  to->total_cost = from->total_cost;
  to->plan_rows = from->plan_rows;
  to->plan_width = from->plan_width;
#if PG_VERSION_NUM >= 180000
  to->disabled_nodes = from->disabled_nodes;
#endif
}

}  // namespace fraud::pg
