// Plain Postgres code: no C++ object lives here, so errors may pass through.
#include "pg/payments/number_watch.h"

#include <cmath>
#include <cstring>

#include "pg/server/gucs.h"
#include "pg/server/shared_state.h"

extern "C" {
#include "common/hashfn.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
}

namespace fraud::pg {

namespace {

constexpr int64 kHour = INT64CONST(3600) * USECS_PER_SEC;
constexpr int64 kSlice = INT64CONST(300) * USECS_PER_SEC;
constexpr int kSlices = 13;  // an hour of whole ones, and the one that runs
constexpr int kRoles = 256;
constexpr int kSeen = 65536;     // numbers asked for by all roles
constexpr int kPatterns = 8192;
constexpr int kProbes = 16;      // places where an entry may stand
constexpr int kRegisters = 64;   // of a HyperLogLog: 13 % more or less

// What a role has asked for. Numbers are counted in the slice of time where they came
// first, so that an hour ends gradually.
struct RoleCount {
  Oid database, role;
  int64 slice;  // the latest
  int counts[kSlices];
};

// A number that a role has asked for within the hour: asking again costs nothing.
struct Seen {
  uint64 key;  // 0: free
  TimestampTz at;
};

// Numbers that begin and end alike. About how many they are is enough here.
struct Pattern {
  uint64 key;  // 0: free
  TimestampTz since;
  uint8 registers[kRegisters];
};

struct State {
  LWLock* lock;
  RoleCount roles[kRoles];
  Seen seen[kSeen];
  Pattern patterns[kPatterns];
  NumberAlarm alarms[kNumberAlarms];
};

State* state = nullptr;
shmem_request_hook_type previous_request_hook = nullptr;
shmem_startup_hook_type previous_startup_hook = nullptr;

void request() {
  if (previous_request_hook != nullptr) previous_request_hook();
  RequestAddinShmemSpace(sizeof(State));
  RequestNamedLWLockTranche("fraud_detect numbers", 1);
}

void startup() {
  if (previous_startup_hook != nullptr) previous_startup_hook();
  bool found;
  LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
  state = (State*)ShmemInitStruct("fraud_detect numbers", sizeof(State), &found);
  if (!found) {
    memset((void*)state, 0, sizeof(State));
    state->lock = &GetNamedLWLockTranche("fraud_detect numbers")->lock;
  }
  LWLockRelease(AddinShmemInitLock);
}

uint64 key_of(const void* bytes, size_t size, Oid role) {
  uint64 key = hash_bytes_extended((const unsigned char*)bytes, (int)size,
                                   ((uint64)MyDatabaseId << 32) | role);
  return key != 0 ? key : 1;
}

int sum_of(const RoleCount* role) {
  int64 sum = 0;
  for (int count : role->counts) sum += count;
  return (int)Min(sum, INT_MAX);
}

// Returns the role's counts, those of an hour ago taken out. Where there is no room,
// the role that has asked for the least makes some.
RoleCount* counts_of(Oid role, TimestampTz now) {
  const int64 slice = now / kSlice;
  RoleCount* least = &state->roles[0];
  RoleCount* found = nullptr;
  for (RoleCount& one : state->roles) {
    if (one.database == MyDatabaseId && one.role == role) found = &one;
    if (found != nullptr) break;
    if (slice - one.slice >= kSlices) memset((void*)&one, 0, sizeof(one));
    if (sum_of(&one) < sum_of(least)) least = &one;
  }
  if (found == nullptr) {
    found = least;
    memset((void*)found, 0, sizeof(*found));
    found->database = MyDatabaseId;
    found->role = role;
    found->slice = slice;
  }
  for (int64 past = found->slice + 1; past <= slice && past <= found->slice + kSlices; ++past) {
    found->counts[past % kSlices] = 0;
  }
  found->slice = Max(found->slice, slice);
  return found;
}

// Returns the entry of the key, or nullptr and where to put it: a free place, else the
// oldest's, whose number then counts anew if it comes again.
Seen* find_seen(uint64 key, TimestampTz now, Seen** place) {
  *place = nullptr;
  for (int i = 0; i < kProbes; ++i) {
    Seen* entry = &state->seen[(key + i) % kSeen];
    if (entry->key == key && now - entry->at < kHour) return entry;
    if (*place == nullptr || entry->at < (*place)->at) *place = entry;
  }
  return nullptr;
}

double estimate(const Pattern* pattern) {
  double sum = 0;
  int empty = 0;
  for (uint8 rank : pattern->registers) {
    sum += std::ldexp(1.0, -rank);
    empty += rank == 0;
  }
  const double raw = 0.709 * kRegisters * kRegisters / sum;
  if (raw <= 2.5 * kRegisters && empty > 0) return kRegisters * std::log((double)kRegisters / empty);
  return raw;
}

// Counts the number in its pattern and returns about how many there are within the hour.
double count_in_pattern(const SeenNumber* number, TimestampTz now) {
  char both[10];
  memcpy(both, number->bin, 6);
  memcpy(both + 6, number->last_four, 4);
  const uint64 key = key_of(both, sizeof(both), InvalidOid);
  Pattern* pattern = nullptr;
  Pattern* place = nullptr;
  double least = 0;
  for (int i = 0; i < kProbes && pattern == nullptr; ++i) {
    Pattern* entry = &state->patterns[(key + i) % kPatterns];
    if (now - entry->since >= kHour) memset((void*)entry, 0, sizeof(*entry));
    if (entry->key == key) {
      pattern = entry;
    } else if (place == nullptr || least > 0) {
      const double size = entry->key == 0 ? 0 : estimate(entry);
      if (place == nullptr || size < least) {
        place = entry;
        least = size;
      }
    }
  }
  if (pattern == nullptr) {
    pattern = place;
    memset((void*)pattern, 0, sizeof(*pattern));
    pattern->key = key;
    pattern->since = now;
  }
  uint64 bits;
  memcpy(&bits, number->hash.data, sizeof(bits));
  bits = hash_bytes_extended((const unsigned char*)&bits, sizeof(bits), key);
  const int index = (int)(bits % kRegisters);
  bits /= kRegisters;
  uint8 rank = 1;
  while (rank < 58 && (bits & 1) == 0) {
    bits >>= 1;
    ++rank;
  }
  if (pattern->registers[index] >= rank) return 0;  // says nothing new
  pattern->registers[index] = rank;
  return estimate(pattern);
}

// Keeps an alarm; returns whether it is another than those of the last hour.
bool raise_alarm(Oid role, char kind, const char* last_four, TimestampTz now) {
  NumberAlarm* place = &state->alarms[0];
  for (NumberAlarm& alarm : state->alarms) {
    if (alarm.database == MyDatabaseId && alarm.role == role && alarm.kind == kind &&
        memcmp(alarm.last_four, last_four, 4) == 0 && now - alarm.first_at < kHour) {
      alarm.last_at = now;
      return false;
    }
    if (alarm.last_at < place->last_at) place = &alarm;
  }
  memset((void*)place, 0, sizeof(*place));
  place->database = MyDatabaseId;
  place->role = role;
  place->kind = kind;
  memcpy(place->last_four, last_four, 4);
  place->first_at = place->last_at = now;
  return true;
}

constexpr char kNoPattern[5] = "";

void tell_limit(Oid role, int limit) {
  const char* name = GetUserNameFromId(role, true);
  ereport(LOG, (errmsg("role \"%s\" has asked for %d different card numbers within an hour, and is refused more",
                       name != nullptr ? name : "?", limit)));
  wake_now(WorkerKind::kIngest);  // which notes it in the audit log
}

void tell_pattern(Oid role, const char* last_four) {
  const char* name = GetUserNameFromId(role, true);
  ereport(LOG, (errmsg("more than %d different card numbers that begin alike and end in %s came within an hour, "
                       "the last from role \"%s\"",
                       guc_card_number_warning, last_four, name != nullptr ? name : "?"),
                errdetail("Somebody may be trying out numbers.")));
  wake_now(WorkerKind::kIngest);
}

}  // namespace

void request_number_watch() {
  previous_request_hook = shmem_request_hook;
  shmem_request_hook = request;
  previous_startup_hook = shmem_startup_hook;
  shmem_startup_hook = startup;
}

bool have_number_watch() { return state != nullptr; }

bool take_number(Oid role, Oid also, const pg_uuid_t& hash) {
  const int limit = guc_card_number_limit;
  if (state == nullptr) return false;
  if (limit < 0) return true;
  const Oid counted[2] = {role, also != role ? also : InvalidOid};
  const TimestampTz now = GetCurrentTimestamp();
  Oid stopped = InvalidOid;
  bool told = true;
  LWLockAcquire(state->lock, LW_EXCLUSIVE);
  for (Oid one : counted) {
    if (!OidIsValid(one) || OidIsValid(stopped)) continue;
    Seen* place;
    if (find_seen(key_of(hash.data, UUID_LEN, one), now, &place) != nullptr) continue;
    if (sum_of(counts_of(one, now)) >= limit) {
      stopped = one;
      told = !raise_alarm(one, 'l', kNoPattern, now);
    }
  }
  for (Oid one : counted) {
    if (!OidIsValid(one) || OidIsValid(stopped)) continue;
    const uint64 key = key_of(hash.data, UUID_LEN, one);
    Seen* place;
    if (find_seen(key, now, &place) != nullptr) continue;
    place->key = key;
    place->at = now;
    RoleCount* counts = counts_of(one, now);
    ++counts->counts[counts->slice % kSlices];
  }
  LWLockRelease(state->lock);
  if (!told) tell_limit(stopped, limit);
  return !OidIsValid(stopped);
}

void note_numbers(Oid role, const SeenNumber* numbers, size_t count) {
  if (state == nullptr || guc_card_number_warning == 0 || count == 0) return;
  const TimestampTz now = GetCurrentTimestamp();
  char told[5] = "";
  LWLockAcquire(state->lock, LW_EXCLUSIVE);
  for (size_t i = 0; i < count; ++i) {
    if (count_in_pattern(&numbers[i], now) <= guc_card_number_warning) continue;
    if (raise_alarm(role, 'p', numbers[i].last_four, now)) memcpy(told, numbers[i].last_four, 4);
  }
  LWLockRelease(state->lock);
  if (told[0] != '\0') tell_pattern(role, told);
}

int list_number_alarms(NumberAlarm* alarms) {
  if (state == nullptr) return 0;
  int count = 0;
  LWLockAcquire(state->lock, LW_SHARED);
  for (const NumberAlarm& alarm : state->alarms) {
    if (alarm.database == MyDatabaseId && alarm.kind != '\0') alarms[count++] = alarm;
  }
  LWLockRelease(state->lock);
  return count;
}

void number_alarm_noted(const NumberAlarm& alarm) {
  LWLockAcquire(state->lock, LW_EXCLUSIVE);
  for (NumberAlarm& one : state->alarms) {
    if (one.database == alarm.database && one.role == alarm.role && one.kind == alarm.kind &&
        one.first_at == alarm.first_at && memcmp(one.last_four, alarm.last_four, 4) == 0) {
      one.noted = true;
    }
  }
  LWLockRelease(state->lock);
}

}  // namespace fraud::pg
