// fraud_score(row) in the arguments of aggregates, 64 rows at a time: a node of the plan between the aggregate and
// what it reads keeps the columns of rows until it has a block of them, and hands them on with their scores.
#pragma once

#include "pg/server/server.h"

extern "C" {
#include "nodes/extensible.h"
}

namespace fraud::pg {

// Registers the node, and has plans changed once they are made. Called when the library is loaded.
void install_score_blocks();

// Notes that the planner has met fraud_score(row): plans of this session are looked through from now on.
void note_score_call();

// The node's methods.
extern const CustomScanMethods kScoreBlocks;

}  // namespace fraud::pg
