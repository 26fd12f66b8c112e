// The rows of fraud.card_keys, which every batch with a card number needs, read without
// a plan. Plain Postgres code: may raise.
#pragma once

#include "pg/server/server.h"

namespace fraud::pg {

struct CardKeyRow {
  pg_uuid_t id;
  bytea* key;  // a copy; nullptr: not in the table
  bool is_retired, is_destroyed;
  TimestampTz retired_at;
};

// Reads all rows from the schema fraud, whose oid is given, into memory of the current
// context, and returns how many there are. With read_only as of the active snapshot,
// else as of now. No right is asked for.
int read_card_keys(Oid schema, bool read_only, CardKeyRow** rows);

}  // namespace fraud::pg
