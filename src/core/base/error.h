// The one exception type that the core throws. Scoring never throws; reading a
// model or a payload and checking arguments do.
#pragma once

#include "core/base/guard.h"

#include <stdexcept>
#include <string>
#include <string_view>

namespace fraud {

enum class ErrorCode {
  kInvalidJson,       // the bytes are neither JSON nor UBJSON
  kInvalidModel,      // readable, but not a sound XGBoost model
  kUnsupportedModel,  // sound, but of a kind that is not scored here
  kInvalidPayload,    // readable JSON, but in no known payment layout
  kInvalidArgument,   // a caller's parameter is out of range
  kLimitExceeded,     // a documented bound was hit
};

// An error with the parts of a Postgres report: `what()` is the primary message
// (lower case, no full stop); detail and hint are sentences or empty. None of
// them ever holds a card number.
class Error : public std::runtime_error {
 public:
  Error(ErrorCode code, const std::string& message, std::string_view detail = {}, std::string_view hint = {});
  Error(const Error&);
  Error& operator=(const Error&);
  ~Error() override;

  ErrorCode code() const noexcept { return code_; }
  const std::string& detail() const noexcept { return detail_; }
  const std::string& hint() const noexcept { return hint_; }

 private:
  ErrorCode code_;
  std::string detail_;
  std::string hint_;
};

}  // namespace fraud
