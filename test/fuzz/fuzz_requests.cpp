// Feeds arbitrary bytes to what reads a source's request and the answers to it.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/base/error.h"
#include "core/requests/request.h"

using namespace fraud;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  // What an API answers.
  for (const char* path : {"$", "$.next", "$.data.list[last].id", "$[0][last]", "$.\"a b\".c"}) {
    (void)JsonPath::parse(path, "path").find(text);
  }
  (void)next_link(text);
  (void)token_error(text);
  try {
    (void)read_access_token(text);
  } catch (const Error&) {
  }
  // What somebody gives.
  try {
    (void)JsonPath::parse(text, "path").find(R"({"next": [{"a": 1}, "x"]})");
  } catch (const Error&) {
  }
  try {
    const Request request = Request::parse(text, "{}");
    std::string position;
    for (int i = 0; i < 3; ++i) {
      (void)request.page(position, 1730134684025000, -1);
      const NextPage next = request.next(position, {text, std::string(text), "c" + std::to_string(i), static_cast<size_t>(i)});
      if (!next.is_more) break;
      if (next.position.empty()) __builtin_trap();
      position = next.position;
    }
  } catch (const Error&) {
  }
  return 0;
}
