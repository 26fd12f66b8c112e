// What is in the lists (src/sql/83_lists.sql), found by the index without a plan.
#pragma once

#include <exception>

#include "pg/server/server.h"

namespace fraud::pg {

// Until the end of its life, fraud.in_list looks each value of a list up once, and as of `snapshot`: while the rules
// of a payment, or of some, are evaluated. With `opens`, the table is opened once for all.
class ListMemo {
 public:
  ListMemo(Snapshot snapshot, bool opens);
  ~ListMemo() noexcept;
  ListMemo(const ListMemo&) = delete;
  ListMemo& operator=(const ListMemo&) = delete;

  // Forgets the values of the payment before, since they are looked for one by one. Allocates nothing.
  static void forget() noexcept;

 private:
  int exceptions_ = std::uncaught_exceptions();
};

}  // namespace fraud::pg
