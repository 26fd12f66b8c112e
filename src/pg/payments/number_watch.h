// How many different card numbers are asked for, and by whom: so that nobody finds a
// number by trying. The counts are in shared memory, where neither ROLLBACK nor a new
// session takes them back; a restart of the server does.
#pragma once

#include "pg/server/server.h"

namespace fraud::pg {

// Asks for shared memory; called by _PG_init while libraries are preloaded.
void request_number_watch();
bool have_number_watch();

// Notes that a role asks for a number, told by its hash, and returns whether it may:
// it has asked for less than fraud_detect.card_number_limit others within an hour.
// Where `also` is a role, the number counts for that as well.
bool take_number(Oid role, Oid also, const pg_uuid_t& hash);

// Notes a number that came in a payment: where more than
// fraud_detect.card_number_warning begin with the same six digits and end with the same
// four within an hour, that is an alarm.
struct SeenNumber {
  char bin[6];
  char last_four[4];
  pg_uuid_t hash;
};
void note_numbers(Oid role, const SeenNumber* numbers, size_t count);

// What was noticed, in this database.
struct NumberAlarm {
  Oid database;
  Oid role;
  char kind;          // 'l': the limit was reached; 'p': many numbers of one pattern
  char last_four[5];  // of the pattern
  bool noted;         // is in the audit log
  TimestampTz first_at, last_at;
};
constexpr int kNumberAlarms = 64;  // the latest

// Copies the alarms of this database to `alarms` (room for kNumberAlarms).
int list_number_alarms(NumberAlarm* alarms);

// Says that an alarm is in the audit log.
void number_alarm_noted(const NumberAlarm& alarm);

}  // namespace fraud::pg
