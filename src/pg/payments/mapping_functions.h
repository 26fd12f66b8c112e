// The rows of fraud.preview_payments and fraud.preview_source.
#pragma once

#include "core/payments/mapping_preview.h"

#include "pg/server/server.h"

namespace fraud::pg {

// Returns the preview as the set of the function's result.
Datum preview_rows(FunctionCallInfo fcinfo, const Preview& preview);

}  // namespace fraud::pg
