// The mapping of a source (docs/sources.md), made ready: its paths and zones are PostgreSQL's.
#pragma once

#include "core/payments/mapping.h"
#include "core/payments/payment.h"

#include <memory>
#include <string_view>

#include "pg/server/server.h"

namespace fraud::pg {

// Reads the mapping, which is the text of a jsonb, for a body of `format`. Throws SqlError that
// says what is wrong with it. It outlives the memory context that is current.
std::unique_ptr<const Mapping> compile_mapping(std::string_view json, PaymentFormat format);

// The argument's mapping, made ready once in this backend; null where it is NULL.
std::shared_ptr<const Mapping> mapping_argument(FunctionCallInfo fcinfo, int index, PaymentFormat format);

// The format called so; throws SqlError.
PaymentFormat checked_format(std::string_view name);

}  // namespace fraud::pg
