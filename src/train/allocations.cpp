// XGBoost turns a failed allocation into a text of its own, another one in each of its versions, and parts of it
// call malloc, which no std::new_handler hears of. So the program watches its C library's allocator: functions of an
// executable come before those of the libraries that it loads, and these pass everything on.
#include "train/allocations.h"

#include <atomic>
#include <cstddef>

// The address sanitizer has an allocator of its own, and elsewhere than in glibc the names differ.
#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__)
#define FRAUD_WATCH_ALLOCATIONS
#endif

namespace {

std::atomic<bool> failed{false};

}  // namespace

bool fraud::allocation_failed() { return failed.load(); }

#ifdef FRAUD_WATCH_ALLOCATIONS
namespace {

void* watched(void* room, bool asked) {
  if (room == nullptr && asked) failed.store(true);
  return room;
}

}  // namespace

#define FRAUD_EXPORT __attribute__((visibility("default")))
extern "C" {
void* __libc_malloc(size_t bytes);
void* __libc_calloc(size_t count, size_t bytes);
void* __libc_realloc(void* room, size_t bytes);
void* __libc_memalign(size_t alignment, size_t bytes);

FRAUD_EXPORT void* malloc(size_t bytes) { return watched(__libc_malloc(bytes), true); }
FRAUD_EXPORT void* calloc(size_t count, size_t bytes) { return watched(__libc_calloc(count, bytes), true); }
// A block that is made empty is freed, and nothing is returned.
FRAUD_EXPORT void* realloc(void* room, size_t bytes) { return watched(__libc_realloc(room, bytes), bytes > 0); }
FRAUD_EXPORT void* aligned_alloc(size_t alignment, size_t bytes) {
  return watched(__libc_memalign(alignment, bytes), true);
}
}
#endif
