#include "core/model_file/model_faults.h"

#include "core/base/error.h"

namespace fraud {

void fail_invalid(const std::string& message) { throw Error(ErrorCode::kInvalidModel, message); }

void fail_unsupported(const std::string& message) {
  throw Error(ErrorCode::kUnsupportedModel, message, {},
              "Supported are tree models (booster gbtree or dart) with one output and an objective "
              "of docs/models.md.");
}

void fail_limit(const std::string& message) { throw Error(ErrorCode::kLimitExceeded, message); }

std::string shown(const std::string& word) {
  constexpr size_t kLongest = 40;
  bool plain = !word.empty() && word.size() <= kLongest;
  for (const char c : word) {
    plain = plain &&
            ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == ':' || c == '_' || c == '-');
  }
  return plain ? '"' + word + '"' : "of an unknown name";
}

}  // namespace fraud
