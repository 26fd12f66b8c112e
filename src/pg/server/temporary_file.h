// What is asked of a temporary file that is written once and read back; plain Postgres code.
#pragma once

#include "pg/server/server.h"

extern "C" {
#include "storage/buffile.h"
}

namespace fraud::pg {

inline void read_exactly(BufFile* file, void* room, size_t bytes) {
  if (BufFileRead(file, room, bytes) != bytes) elog(ERROR, "could not read back a temporary file");
}

inline void go_back(BufFile* file) {
  if (BufFileSeek(file, 0, 0, SEEK_SET) != 0) elog(ERROR, "could not go back in a temporary file");
}

}  // namespace fraud::pg
