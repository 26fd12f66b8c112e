// What differs between PostgreSQL's versions for those who change plans.
#pragma once

#include "pg/server/server.h"

extern "C" {
#include "nodes/nodeFuncs.h"
}

namespace fraud::pg {

inline ::Node* mutate_expression(::Node* node, ::Node* (*mutator)(::Node*, void*), void* context) {
#if PG_VERSION_NUM >= 160000
  return expression_tree_mutator(node, mutator, context);
#else
  return expression_tree_mutator(node, reinterpret_cast<::Node* (*)()>(reinterpret_cast<void*>(mutator)), context);
#endif
}

}  // namespace fraud::pg
