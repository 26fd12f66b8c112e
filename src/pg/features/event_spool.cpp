#include "pg/features/event_spool.h"

#include <exception>

#include "pg/server/boundary.h"
#include "pg/server/temporary_file.h"

namespace fraud::pg {

namespace {

// Calls `use` with each column that is kept.
template <typename Batch, typename Runs, typename Use>
void each_column(Batch& batch, Runs& runs, Use&& use) {
  use(batch.times);
  use(batch.labels);
  use(batch.known_at);
  use(batch.turns);
  use(batch.turn_ends);
  use(batch.cells);
  use(batch.key_bytes);
  use(batch.key_ends);
  use(runs);
}

}  // namespace

EventSpool::EventSpool(MemoryContext context) {
  protect([&] {
    MemoryContext old = MemoryContextSwitchTo(context);
    file_ = BufFileCreateTemp(false);
    MemoryContextSwitchTo(old);
  });
}

EventSpool::~EventSpool() noexcept {
  if (std::uncaught_exceptions() == 0) BufFileClose(file_);  // else the abort does
}

void EventSpool::write(const EventBatch& batch, const std::vector<uint64_t>& runs) {
  protect([&] {
    CHECK_FOR_INTERRUPTS();
    each_column(batch, runs, [this](const auto& column) {
      const size_t size = column.size();
      BufFileWrite(file_, const_cast<size_t*>(&size), sizeof(size));
      if (size > 0) BufFileWrite(file_, const_cast<void*>(static_cast<const void*>(column.data())), size * sizeof(column[0]));
    });
  });
  ++written_;
}

void EventSpool::rewind() {
  read_ = 0;
  protect([this] { go_back(file_); });
}

bool EventSpool::read(EventBatch* batch, std::vector<uint64_t>* runs) {
  if (read_ == written_) return false;
  const auto exactly = [this](void* room, size_t bytes) { protect([&] { read_exactly(file_, room, bytes); }); };
  protect([] { CHECK_FOR_INTERRUPTS(); });
  each_column(*batch, *runs, [&exactly](auto& column) {
    size_t size;
    exactly(&size, sizeof(size));
    column.resize(size);
    if (size > 0) exactly(column.data(), size * sizeof(column[0]));
  });
  batch->rows = batch->times.size();
  ++read_;
  return true;
}

}  // namespace fraud::pg
