// Customers whose payments wait (fraud.held_customers): somebody has locked what their payments need, or the
// month of one has no partition yet. The others' payments go past them.
#pragma once

#include <string>
#include <vector>

#include "pg/payments/inbox.h"
#include "pg/server/spi.h"

namespace fraud::pg {

// Returns the held customers of those shards that are due to be tried again.
std::vector<CardId> due_customers(Spi& spi, const Shards& shards, int most);

// Returns when the next held customer is due, or DT_NOEND.
TimestampTz next_due_customer(Spi& spi, const Shards& shards);

// Locks the customers' rows and returns those, in order, whose row another session holds.
std::vector<CardId> lock_customers(Spi& spi, const std::vector<InboxRow>& rows);

// Sets a customer aside until a later time, longer each time.
void hold(Spi& spi, const CardId& card, const std::string& reason);

// Likewise, until the month of this time has its partition, which the ingest worker makes.
void hold_for_month(Spi& spi, const CardId& card, TimestampTz time);

// Lets a held customer go on, unless payments of his still wait.
void release(Spi& spi, const CardId& card);

// The ingest worker's: months that it is to make, in order; and makes one, and has the
// payments that wait for it tried again. Throws where somebody is in the way.
std::vector<TimestampTz> missing_months(Spi& spi);
void make_month(Spi& spi, TimestampTz month);

}  // namespace fraud::pg
