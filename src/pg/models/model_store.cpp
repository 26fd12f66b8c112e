#include "core/forest/scorer.h"

#include "pg/server/boundary.h"

#include <cstring>
#include <list>

#include "pg/models/model_store.h"
#include "pg/server/gucs.h"

extern "C" {
#include "common/cryptohash.h"
#include "port/atomics.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "utils/dsa.h"
}

namespace fraud::pg {

namespace {

// ------------------------------------------------------------ shared memory

constexpr int kMaxShared = 256;  // copies at a time

struct SharedEntry {
  bool used;
  uint8_t digest[32];
  dsa_pointer room;  // holds `bytes` from the first address in it that is aligned
  Size bytes;
  pg_atomic_uint32 holders;  // entries are removed only when there are none
  pg_atomic_uint64 used_at;  // TimestampTz
};

// The area for the models' bytes lies behind it. All of its memory is reserved when
// the server starts; the kernel provides what is used.
struct SharedStore {
  LWLock* lock;  // of the entries; holders may go without it
  int area_tranche;
  SharedEntry entries[kMaxShared];
};

SharedStore* store = nullptr;
dsa_area* area = nullptr;  // of this process
shmem_request_hook_type previous_request_hook = nullptr;
shmem_startup_hook_type previous_startup_hook = nullptr;

Size area_size() { return mul_size(static_cast<Size>(guc_shared_model_kb), 1024); }
bool is_wanted() { return area_size() >= dsa_minimum_size(); }
char* area_room() { return reinterpret_cast<char*>(store) + MAXALIGN(sizeof(SharedStore)); }

void request() {
  if (previous_request_hook != nullptr) previous_request_hook();
  if (!is_wanted()) return;
  RequestAddinShmemSpace(add_size(MAXALIGN(sizeof(SharedStore)), area_size()));
  RequestNamedLWLockTranche("fraud_detect_models", 1);
}

void startup() {
  if (previous_startup_hook != nullptr) previous_startup_hook();
  if (!is_wanted()) return;
  bool found;
  LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
  store = static_cast<SharedStore*>(ShmemInitStruct(
      "fraud_detect_models", add_size(MAXALIGN(sizeof(SharedStore)), area_size()), &found));
  if (!found) {
    memset(static_cast<void*>(store), 0, sizeof(SharedStore));
    store->lock = &GetNamedLWLockTranche("fraud_detect_models")->lock;
    store->area_tranche = LWLockNewTrancheId();
    for (SharedEntry& entry : store->entries) {
      pg_atomic_init_u32(&entry.holders, 0);
      pg_atomic_init_u64(&entry.used_at, 0);
    }
    dsa_area* made = dsa_create_in_place(area_room(), area_size(), store->area_tranche, nullptr);
    dsa_pin(made);
    dsa_set_size_limit(made, area_size());  // no segments of its own beside it
    dsa_detach(made);
  }
  LWLockRelease(AddinShmemInitLock);
}

// How often this process holds each entry; only the first hold counts in
// SharedEntry::holders.
int held[kMaxShared];

void release_all(int, Datum) {
  for (int i = 0; i < kMaxShared; ++i) {
    if (held[i] > 0) pg_atomic_sub_fetch_u32(&store->entries[i].holders, 1);
    held[i] = 0;
  }
  store = nullptr;  // whatever is destroyed after this holds nothing
}

void attach() {
  if (area != nullptr) return;
  LWLockRegisterTranche(store->area_tranche, "fraud_detect_models_area");
  MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);
  area = dsa_attach_in_place(area_room(), nullptr);
  dsa_pin_mapping(area);
  MemoryContextSwitchTo(old);
  before_shmem_exit(release_all, (Datum)0);
}

char* bytes_of(const SharedEntry& entry) {
  return reinterpret_cast<char*>(TYPEALIGN(kFlatAlignment, dsa_get_address(area, entry.room)));
}

void hold(int index) {
  SharedEntry& entry = store->entries[index];
  if (held[index]++ == 0) pg_atomic_add_fetch_u32(&entry.holders, 1);
  pg_atomic_write_u64(&entry.used_at, static_cast<uint64>(GetCurrentStatementStartTimestamp()));
}

void let_go(int index) {
  if (store == nullptr) return;
  if (--held[index] == 0) pg_atomic_sub_fetch_u32(&store->entries[index].holders, 1);
}

int index_of(const ModelDigest& digest) {
  for (int i = 0; i < kMaxShared; ++i) {
    const SharedEntry& entry = store->entries[i];
    if (entry.used && memcmp(entry.digest, digest.data(), digest.size()) == 0) return i;
  }
  return -1;
}

// Frees the copy that nobody holds and that was used the longest ago. The lock
// keeps others from taking hold of it meanwhile.
bool evict_one() {
  SharedEntry* oldest = nullptr;
  for (SharedEntry& entry : store->entries) {
    if (!entry.used || pg_atomic_read_u32(&entry.holders) > 0) continue;
    if (oldest == nullptr ||
        pg_atomic_read_u64(&entry.used_at) < pg_atomic_read_u64(&oldest->used_at)) {
      oldest = &entry;
    }
  }
  if (oldest == nullptr) return false;
  dsa_free(area, oldest->room);
  oldest->used = false;
  return true;
}

// Returns the index of a new entry with these bytes, held, or -1 when there is no
// room. The lock is held.
int publish(const ModelDigest& digest, std::string_view bytes) {
  const Size size = add_size(bytes.size(), kFlatAlignment);
  if (size > area_size()) return -1;
  dsa_pointer room;
  while (true) {
    room = dsa_allocate_extended(area, size, DSA_ALLOC_HUGE | DSA_ALLOC_NO_OOM);
    if (DsaPointerIsValid(room) || !evict_one()) break;
  }
  if (!DsaPointerIsValid(room)) return -1;
  int index = 0;
  while (index < kMaxShared && store->entries[index].used) ++index;
  if (index == kMaxShared && evict_one()) {
    for (index = 0; store->entries[index].used;) ++index;
  }
  if (index == kMaxShared) {
    dsa_free(area, room);
    return -1;
  }
  SharedEntry& entry = store->entries[index];
  memcpy(entry.digest, digest.data(), digest.size());
  entry.room = room;
  entry.bytes = bytes.size();
  memcpy(bytes_of(entry), bytes.data(), bytes.size());
  entry.used = true;
  hold(index);
  return index;
}

// Returns the index of the digest's entry, held, or -1.
int take_shared(const ModelDigest& digest) {
  attach();
  LWLockAcquire(store->lock, LW_SHARED);
  const int index = index_of(digest);
  if (index >= 0) hold(index);
  LWLockRelease(store->lock);
  return index;
}

int put_shared(const ModelDigest& digest, std::string_view bytes) {
  attach();
  LWLockAcquire(store->lock, LW_EXCLUSIVE);
  int index = index_of(digest);
  if (index >= 0) {
    hold(index);
  } else {
    index = publish(digest, bytes);
  }
  LWLockRelease(store->lock);
  return index;
}

// ------------------------------------------------------------- this process

struct Model {
  explicit Model(int index) : shared(index) {}
  explicit Model(AlignedBytes own) : bytes(std::move(own)) {}
  Model(const Model&) = delete;
  ~Model() {
    if (shared >= 0) let_go(shared);
  }

  int shared = -1;     // its entry
  AlignedBytes bytes;  // when it is this process's own
  FlatModel model;
};

std::shared_ptr<const FlatModel> shared_model(int index) {
  auto owner = std::make_shared<Model>(index);
  const SharedEntry& entry = store->entries[index];
  owner->model = FlatModel::view({bytes_of(entry), entry.bytes});
  return {owner, &owner->model};
}

// Copies of our own, the least recently used last, and shared ones until the end
// of the transaction.
struct Cached {
  ModelDigest digest;
  std::shared_ptr<const FlatModel> model;
  bool shared;
};
std::list<Cached> cache;

void drop_shared(XactEvent event, void*) {
  switch (event) {
    case XACT_EVENT_COMMIT:
    case XACT_EVENT_ABORT:
    case XACT_EVENT_PREPARE:
    case XACT_EVENT_PARALLEL_COMMIT:
    case XACT_EVENT_PARALLEL_ABORT:
      cache.remove_if([](const Cached& cached) { return cached.shared; });
      break;
    default:
      break;
  }
}

void remember(const ModelDigest& digest, std::shared_ptr<const FlatModel> model, bool shared) {
  static const bool registered = [] {
    protect([] { RegisterXactCallback(drop_shared, nullptr); });
    return true;
  }();
  (void)registered;
  cache.push_front({digest, std::move(model), shared});
  const size_t room = static_cast<size_t>(guc_model_cache_kb) * 1024;
  size_t used = 0;
  cache.remove_if([&](const Cached& cached) {
    if (cached.shared) return false;
    used += cached.model->bytes();
    return used > room;
  });
}

}  // namespace

ModelDigest digest_of(std::string_view bytes) {
  ModelDigest digest;
  protect([&] {
    pg_cryptohash_ctx* context = pg_cryptohash_create(PG_SHA256);
    if (context == nullptr || pg_cryptohash_init(context) < 0 ||
        pg_cryptohash_update(context, reinterpret_cast<const uint8*>(bytes.data()),
                             bytes.size()) < 0 ||
        pg_cryptohash_final(context, digest.data(), digest.size()) < 0) {
      elog(ERROR, "could not compute SHA-256");
    }
    pg_cryptohash_free(context);
  });
  return digest;
}

void request_model_store() {
  previous_request_hook = shmem_request_hook;
  shmem_request_hook = request;
  previous_startup_hook = shmem_startup_hook;
  shmem_startup_hook = startup;
}

std::shared_ptr<const FlatModel> find_model(const ModelDigest& digest) {
  for (auto cached = cache.begin(); cached != cache.end(); ++cached) {
    if (cached->digest != digest) continue;
    cache.splice(cache.begin(), cache, cached);
    return cached->model;
  }
  if (store == nullptr) return nullptr;
  const int index = protect([&] { return take_shared(digest); });
  if (index < 0) return nullptr;
  std::shared_ptr<const FlatModel> model = shared_model(index);
  remember(digest, model, true);
  return model;
}

std::shared_ptr<const FlatModel> add_model(const ModelDigest& digest, std::string_view bytes) {
  if (digest_of(bytes) != digest) {
    throw SqlError(ERRCODE_DATA_CORRUPTED, "the compiled model does not have its own SHA-256", {},
                   "It was changed after it was stored. Import the model's file again.");
  }
  auto own = std::make_shared<Model>(AlignedBytes(bytes));
  own->model = FlatModel::open(own->bytes.view());
  const int index =
      store == nullptr ? -1 : protect([&] { return put_shared(digest, own->bytes.view()); });
  std::shared_ptr<const FlatModel> model =
      index >= 0 ? shared_model(index) : std::shared_ptr<const FlatModel>(own, &own->model);
  remember(digest, model, index >= 0);
  return model;
}

std::vector<SharedModel> shared_models() {
  std::vector<SharedModel> models;
  if (store == nullptr) return models;
  models.resize(kMaxShared);
  size_t count = 0;
  SharedModel* const rows = models.data();
  protect([&] {
    LWLockAcquire(store->lock, LW_SHARED);
    for (SharedEntry& entry : store->entries) {
      if (!entry.used) continue;
      SharedModel& row = rows[count++];
      memcpy(row.digest.data(), entry.digest, row.digest.size());
      row.bytes = entry.bytes;
      row.holders = static_cast<int>(pg_atomic_read_u32(&entry.holders));
      row.used_at = static_cast<TimestampTz>(pg_atomic_read_u64(&entry.used_at));
    }
    LWLockRelease(store->lock);
  });
  models.resize(count);
  return models;
}

}  // namespace fraud::pg
