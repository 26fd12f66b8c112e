#include "core/model_file/model_faults.h"

#include "core/base/error.h"

namespace fraud {

void fail_invalid(const std::string& message) {
  throw Error(ErrorCode::kInvalidModel, message, {},
              "The file was cut, edited or damaged: save the model anew with XGBoost's save_model, as .json or .ubj, and "
              "import that.");
}

void fail_unsupported(const std::string& message, const std::string& hint) {
  constexpr char kKinds[] =
      "Supported are tree models (booster gbtree or dart) with one output and an objective of docs/models.md.";
  throw Error(ErrorCode::kUnsupportedModel, message, {}, hint.empty() ? kKinds : hint);
}

void fail_limit(const std::string& message) {
  throw Error(ErrorCode::kLimitExceeded, message, {}, "Train a smaller model: docs/models.md has the limits.");
}

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
