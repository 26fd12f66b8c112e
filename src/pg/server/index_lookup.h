// Rows of our own tables, found by an index without a plan. Plain Postgres code: may raise.
#pragma once

#include <string_view>

#include "pg/server/server.h"

extern "C" {
#include "access/genam.h"
#include "access/tableam.h"
#include "executor/tuptable.h"
#include "utils/rel.h"
}

namespace fraud::pg {

// The rows, in the order of an index, whose first column, or first two, are equal to
// a text and another value.
struct IndexLookup {
  Relation heap;
  Relation index;
  IndexScanDesc scan;
  TupleTableSlot* slot;
};

// Returns the relation of the schema fraud, whose oid is given.
Oid relation_named(Oid schema, const char* name);

Datum text_datum(std::string_view value);

// Returns whether there is such a row; close_lookup() must follow either way. `second_equals` is InvalidOid
// where the first column is all.
bool open_lookup(IndexLookup* lookup, Oid schema, const char* table, const char* index, Datum first,
                 RegProcedure second_equals, Datum second, Snapshot snapshot);

// Returns the value of the row in the slot; a null is an error.
Datum lookup_column(const IndexLookup& lookup, const char* name);

void close_lookup(IndexLookup* lookup);

}  // namespace fraud::pg
