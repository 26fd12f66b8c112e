// The statements of the notify worker on fraud.notifications: which deliveries are taken, given
// back, and how they went. Each is of many deliveries, by index, and waits for no lock that a
// person can hold: what somebody has locked is left for later.
#pragma once

#include <functional>
#include <map>
#include <vector>

#include "pg/server/spi.h"
#include "worker/notify/channel.h"

namespace fraud::worker {

// Before anybody is told of anything: in a copy of a database nobody is.
void begin_channels(pg::Spi& spi);

// Makes the attempts again, at once, that the last worker did not end: all that are under way but for
// these. What somebody has locked is left for the next time.
void take_back(pg::Spi& spi, const std::vector<int64_t>& but);

// Has what waits for a time be due now, where the clock was set back meanwhile.
void hasten(pg::Spi& spi);

// Reads which channels there are, and begins anew with those that were changed.
void read_channels(pg::Spi& spi, std::map<std::string, Channel>& channels);

// Takes deliveries of a channel, at most so many, counting the attempts before they are made.
std::vector<Delivery> claim(pg::Spi& spi, Channel& channel, int most, TimestampTz now);

// Gives back what was taken and not begun: it is as if it had not been.
void give_back(pg::Spi& spi, std::vector<int64_t> ids);

// How an attempt was noted.
struct Noted {
  bool kept = false;  // somebody has it locked: to be noted later
  std::string state;
  std::optional<TimestampTz> next_attempt_at;
};
std::vector<Noted> note(pg::Spi& spi, const std::vector<Outcome>& outcomes);

// Notes how channels fare, as far as nobody has their rows locked.
void note_channels(pg::Spi& spi, std::map<std::string, Channel>& channels);

// Counts what waits for a channel, up to most.
int64_t count_waiting(pg::Spi& spi, const Channel& channel, int64_t most);

}  // namespace fraud::worker
