#include "pg/server/boundary.h"

#include <algorithm>
#include <new>
#include <string_view>

#include "core/payments/mask.h"

extern "C" {
#include "access/parallel.h"
#include "access/xlog.h"
#include "miscadmin.h"
}

namespace fraud::pg {

PgError::~PgError() = default;

SqlError::SqlError(int sqlstate, std::string_view message, std::string_view detail, std::string_view hint)
    : sqlstate_(sqlstate), message_(message), detail_(detail), hint_(hint) {}
SqlError::~SqlError() = default;

namespace detail {

MemoryContext error_context = nullptr;

// Copies the current Postgres error out of Postgres's error stack.
static ErrorData* take_error(MemoryContext restore) {
  MemoryContextSwitchTo(error_context != nullptr ? error_context : TopMemoryContext);
  ErrorData* data = CopyErrorData();
  FlushErrorState();
  MemoryContextSwitchTo(restore);
  return data;
}

void call_postgres(void (*call)(void*), void* argument) {
  MemoryContext context = CurrentMemoryContext;
  ErrorData* volatile error = nullptr;
  PG_TRY();
  { call(argument); }
  PG_CATCH();
  { error = take_error(context); }
  PG_END_TRY();
  if (error != nullptr) throw PgError(error);
}

namespace {

int sqlstate_of(ErrorCode code) noexcept {
  switch (code) {
    case ErrorCode::kInvalidJson:
      return ERRCODE_INVALID_TEXT_REPRESENTATION;
    case ErrorCode::kInvalidModel:
      return ERRCODE_DATA_CORRUPTED;
    case ErrorCode::kUnsupportedModel:
      return ERRCODE_FEATURE_NOT_SUPPORTED;
    case ErrorCode::kInvalidPayload:
      return ERRCODE_INVALID_PARAMETER_VALUE;
    case ErrorCode::kInvalidArgument:
      return ERRCODE_INVALID_PARAMETER_VALUE;
    case ErrorCode::kLimitExceeded:
      return ERRCODE_PROGRAM_LIMIT_EXCEEDED;
  }
  return ERRCODE_INTERNAL_ERROR;
}

// Copies text without raising: an error report must not fail for want of memory. Whatever a message quotes,
// a name that was given or a value, is masked here: errors are in logs, and on screens.
char* copy(std::string_view text) noexcept {
  if (text.empty()) return nullptr;
  try {
    const std::string masked = mask_card_numbers(text);
    char* room = static_cast<char*>(
        MemoryContextAllocExtended(CurrentMemoryContext, masked.size() + 1, MCXT_ALLOC_NO_OOM));
    if (room != nullptr) memcpy(room, masked.c_str(), masked.size() + 1);
    return room;
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}

void mask(char** text) noexcept {
  if (*text != nullptr) *text = copy(*text);
}

ErrorData* make(int sqlstate, const char* message, const std::string& detail,
                const std::string& hint) noexcept {
  static ErrorData out_of_memory;  // used only when there is no room for another
  ErrorData* data = static_cast<ErrorData*>(MemoryContextAllocExtended(
      CurrentMemoryContext, sizeof(ErrorData), MCXT_ALLOC_NO_OOM | MCXT_ALLOC_ZERO));
  if (data == nullptr) {
    data = &out_of_memory;
    memset(data, 0, sizeof(*data));
  }
  data->elevel = ERROR;
  data->sqlerrcode = sqlstate;
  data->message = copy(message);
  data->detail = copy(detail);
  data->hint = copy(hint);
  return data;
}

}  // namespace

ErrorData* describe_current_exception() noexcept {
  MemoryContext old = MemoryContextSwitchTo(error_context);
  ErrorData* data = nullptr;
  try {
    throw;
  } catch (const PgError& error) {
    data = error.data();
    for (char** text : {&data->message, &data->detail, &data->hint}) mask(text);
  } catch (const SqlError& error) {
    data = make(error.sqlstate(), error.what(), error.detail(), error.hint());
  } catch (const Error& error) {
    data = make(sqlstate_of(error.code()), error.what(), error.detail(), error.hint());
  } catch (const std::bad_alloc&) {
    data = make(ERRCODE_OUT_OF_MEMORY, "out of memory", {}, {});
  } catch (const std::exception& error) {
    // The text of a library's exception may quote input, and so a card number.
    data = make(ERRCODE_INTERNAL_ERROR, "unexpected error in fraud_detect", {}, kReportFault);
    (void)error;
  } catch (...) {
    data = make(ERRCODE_INTERNAL_ERROR, "unexpected error in fraud_detect", {}, kReportFault);
  }
  MemoryContextSwitchTo(old);
  return data;
}

// Returns how much of a context is of other people's functions, which ours called: what comes after the last
// of them are statements and functions of ours, and no news to who called. Whatever the language of messages,
// a PL's line names the PL and its function by schema. The first line may be about the data.
static size_t others_context(std::string_view context) noexcept {
  size_t keep = 0;
  for (size_t from = 0; from < context.size();) {
    const size_t end = std::min(context.find('\n', from), context.size());
    const std::string_view line = context.substr(from, end - from);
    const bool data = from == 0 && (line.substr(0, 10) == "JSON data," || line.substr(0, 6) == "while ");
    if (data || (line.find("PL/") != line.npos && line.find(" fraud.") == line.npos)) keep = end;
    from = end + 1;
  }
  return keep;
}

// Takes out of an error what is empty, and what shows our code. What cannot be (XX) keeps it, for whoever reports it; of
// others the server's log has it at DEBUG1.
static void hide_our_code(ErrorData* data) {
  // RAISE … USING DETAIL = '' has nothing to say.
  if (data->detail != nullptr && *data->detail == '\0') data->detail = nullptr;
  if (data->hint != nullptr && *data->hint == '\0') data->hint = nullptr;
  // What was executed is a statement of ours, and tells nobody why he may not.
  if (data->sqlerrcode == ERRCODE_READ_ONLY_SQL_TRANSACTION && data->hint == nullptr) {
    data->hint = const_cast<char*>(RecoveryInProgress() ? "This server is a standby, where nothing can be changed: call the function on the primary."
                                                        : "The function changes what is stored: call it in a transaction that may (transaction_read_only is on).");
  }
  if (ERRCODE_TO_CATEGORY(data->sqlerrcode) == ERRCODE_INTERNAL_ERROR) return;
  if (MyBackendType == B_BG_WORKER && !IsParallelWorker()) return;  // nobody called; the log is who reads it
  const char* context = data->context != nullptr ? data->context : "";
  const size_t keep = others_context(context);
  if (context[keep] != '\0') {
    ereport(DEBUG1, (errmsg_internal("\"%s\" was raised here: %s", data->message, context + keep)));
    if (keep == 0) data->context = nullptr;
    else data->context[keep] = '\0';
  }
  if (keep == 0) {  // the statement that failed is ours
    data->internalquery = nullptr;
    data->internalpos = 0;
  }
}

void raise(ErrorData* data) {
  if (data->filename != nullptr) {  // as Postgres made it
    hide_our_code(data);
    ThrowErrorData(data);  // adds the context of our caller
  }
  ereport(ERROR, (errcode(data->sqlerrcode),
                  errmsg_internal("%s", data->message != nullptr ? data->message : "out of memory"),
                  data->detail != nullptr ? errdetail_internal("%s", data->detail) : 0,
                  data->hint != nullptr ? errhint("%s", data->hint) : 0));
  pg_unreachable();
}

}  // namespace detail

}  // namespace fraud::pg
