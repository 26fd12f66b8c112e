#include "core/base/error.h"

namespace fraud {

Error::Error(ErrorCode code, const std::string& message, std::string_view detail, std::string_view hint)
    : std::runtime_error(message), code_(code), detail_(detail), hint_(hint) {}
Error::Error(const Error&) = default;
Error& Error::operator=(const Error&) = default;
Error::~Error() = default;

}  // namespace fraud
