// Events in a temporary file, in their order, as far as windows need them: times, labels, inputs and
// keys, but no ids and nothing that goes with them. Where windows are computed part by part, events are
// read and sorted once, and gone through here once for each part.
#pragma once

#include <vector>

#include "pg/features/event_reader.h"
#include "pg/server/server.h"

extern "C" {
#include "storage/buffile.h"
}

namespace fraud::pg {

class EventSpool {
 public:
  // The context lives as long as this.
  explicit EventSpool(MemoryContext context);
  ~EventSpool() noexcept;
  EventSpool(const EventSpool&) = delete;
  EventSpool& operator=(const EventSpool&) = delete;

  // Adds a batch; the runs are those of its events (Event::run), or none.
  void write(const EventBatch& batch, const std::vector<uint64_t>& runs);
  // Goes back to the first batch.
  void rewind();
  // Gives the next batch in place of what is there; false at the end.
  bool read(EventBatch* batch, std::vector<uint64_t>* runs);

 private:
  BufFile* file_ = nullptr;
  size_t written_ = 0, read_ = 0;  // batches
};

}  // namespace fraud::pg
