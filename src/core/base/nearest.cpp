#include "core/base/nearest.h"

#include <algorithm>
#include <utility>

namespace fraud {

namespace {

// The least number of letters to write anew, to leave out or to put in.
size_t edits(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t corner = std::exchange(row[0], i);
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t other = corner + (a[i - 1] == b[j - 1] ? 0 : 1);
      corner = row[j];
      row[j] = std::min({other, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row.back();
}

}  // namespace

std::vector<std::string> nearest_names(std::string_view name, const std::vector<std::string_view>& names, size_t most) {
  std::vector<std::pair<size_t, std::string_view>> found;
  for (const std::string_view one : names) {
    const bool is_part = name.find(one) != std::string_view::npos || (name.size() > 2 && one.find(name) != std::string_view::npos);
    found.emplace_back(is_part ? 1 : edits(name, one), one);
  }
  std::sort(found.begin(), found.end());
  std::vector<std::string> nearest;
  for (size_t i = 0; i < std::min(most, found.size()); ++i) nearest.emplace_back(found[i].second);
  return nearest;
}

}  // namespace fraud
