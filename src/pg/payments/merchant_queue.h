// Merchants that scorers have seen first (fraud.merchant_queue): their rows, which others may have locked, are
// made apart from the payments.
#pragma once

#include <cstdint>
#include <vector>

#include "pg/server/spi.h"

namespace fraud::pg {

// Makes the rows of up to `most` at once, or of one by its number in the queue.
void make_merchants(Spi& spi, int most);
void make_merchant(Spi& spi, int64_t id);

// Returns up to `most` numbers above `after`.
std::vector<int64_t> merchants_to_make(Spi& spi, int64_t after, int most);

// One that is forgotten comes again with its next payment.
void forget_merchant(Spi& spi, int64_t id);

}  // namespace fraud::pg
