// What most files that know Postgres include, read once for all of them (Makefile, PCH).
// No file may do without its own includes: plain make, and installed headers' tests, compile each by itself.
#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "pg/server/boundary.h"
#include "pg/server/owner_scope.h"
#include "pg/server/spi.h"
