// How the model reader says what is wrong with a file.
#pragma once

#include "core/base/guard.h"

#include <string>

namespace fraud {

[[noreturn]] void fail_invalid(const std::string& message);  // kInvalidModel
// kUnsupportedModel; without a hint, which kinds of models are supported.
[[noreturn]] void fail_unsupported(const std::string& message, const std::string& hint = {});
[[noreturn]] void fail_limit(const std::string& message);    // kLimitExceeded

// Returns a word from the file for use in a message: what is not a plain short
// word is not repeated, since a file's bytes do not belong in a log.
std::string shown(const std::string& word);

}  // namespace fraud
