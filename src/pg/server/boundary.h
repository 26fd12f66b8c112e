// The border between C++ exceptions and Postgres errors.
//
//   Postgres -> C++   FRAUD_FUNCTION bodies run inside call_guarded(): whatever
//                     is thrown unwinds every C++ frame, and only then is it
//                     raised as a Postgres error.
//   C++ -> Postgres   protect([&] { … }) calls Postgres functions that may raise:
//                     the error is caught below every object with a destructor
//                     and goes on as a PgError, which carries the ErrorData, so
//                     that SQLSTATE, DETAIL, HINT and a cancel's 57014 survive.
//
// Errors show message, detail and hint, and the context of other people's functions that ours
// called, not the statements and functions by which ours came there: guarded() keeps apart what
// is within from what is around.
//
// The lambda given to protect() must own nothing that needs destruction: a raise
// jumps over it.
#pragma once

#include "core/base/error.h"

#include <exception>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "pg/server/server.h"

namespace fraud::pg {

// A Postgres error on its way through C++ frames.
class PgError : public std::exception {
 public:
  explicit PgError(ErrorData* data) noexcept : data_(data) {}
  ~PgError() override;
  const char* what() const noexcept override { return data_->message ? data_->message : "error"; }
  ErrorData* data() const noexcept { return data_; }

 private:
  ErrorData* data_;  // lives in the memory context of the innermost boundary
};

// A report of our own with its SQLSTATE; detail and hint are sentences or empty.
class SqlError : public std::exception {
 public:
  SqlError(int sqlstate, std::string_view message, std::string_view detail = {}, std::string_view hint = {});
  SqlError(const SqlError&) = default;
  ~SqlError() override;
  const char* what() const noexcept override { return message_.c_str(); }
  int sqlstate() const noexcept { return sqlstate_; }
  const std::string& detail() const noexcept { return detail_; }
  const std::string& hint() const noexcept { return hint_; }

 private:
  int sqlstate_;
  std::string message_, detail_, hint_;
};

// What a DBA does with an error that is a fault of ours.
constexpr char kReportFault[] =
    "This is a fault of fraud_detect, or damaged memory: report it with the statement, the server's log and the versions of "
    "fraud_detect and PostgreSQL.";
// What can be done where OpenSSL fails.
constexpr char kCryptoHint[] = "OpenSSL had no memory, or its configuration (openssl.cnf, a FIPS provider) leaves SHA-256 out.";

// What cannot be.
class InternalError : public SqlError {
 public:
  explicit InternalError(std::string message) : SqlError(ERRCODE_INTERNAL_ERROR, std::move(message), {}, kReportFault) {}
};

namespace detail {

// Where the ErrorData of errors in flight is kept: set by the innermost boundary.
extern MemoryContext error_context;

// Calls Postgres by call(argument); its error is thrown as a PgError.
void call_postgres(void (*call)(void*), void* argument);

// Makes the ErrorData of the exception that is being handled. Never throws.
ErrorData* describe_current_exception() noexcept;

// Raises it; no C++ object may be alive in the frames above.
[[noreturn]] void raise(ErrorData* data);

// Runs body in a C++ boundary and returns its error, or nullptr.
template <typename Body>
ErrorData* run(Body&& body) noexcept {
  try {
    body();
    return nullptr;
  } catch (...) {
    return describe_current_exception();
  }
}

}  // namespace detail

// Runs body; C++ exceptions leave as Postgres errors. This is the only frame
// between Postgres and C++ code.
template <typename Body>
void guarded(Body&& body) {
  MemoryContext caller = CurrentMemoryContext;
  MemoryContext outer = detail::error_context;
  detail::error_context = caller;
  // What is reported within has the context of what is within.
  ErrorContextCallback* around = error_context_stack;
  error_context_stack = nullptr;
  ErrorData* error = detail::run(std::forward<Body>(body));
  error_context_stack = around;
  detail::error_context = outer;
  if (error != nullptr) {
    MemoryContextSwitchTo(caller);
    detail::raise(error);
  }
}

// Calls Postgres; its errors go on as PgError.
template <typename Call>
auto protect(Call&& call) -> std::invoke_result_t<Call> {
  using Result = std::invoke_result_t<Call>;
  static_assert(std::is_void_v<Result> || std::is_trivially_destructible_v<Result>,
                "what crosses the border must need no destructor");
  // A pointer to it, since it may be const, or a function.
  auto* body = std::addressof(call);
  if constexpr (std::is_void_v<Result>) {
    detail::call_postgres([](void* argument) { (**static_cast<decltype(body)*>(argument))(); }, &body);
  } else {
    struct Frame {
      decltype(body) call;
      std::aligned_storage_t<sizeof(Result), alignof(Result)> result;
    } frame;
    frame.call = body;
    detail::call_postgres(
        [](void* argument) {
          Frame* at = static_cast<Frame*>(argument);
          new (&at->result) Result((*at->call)());
        },
        &frame);
    return *reinterpret_cast<Result*>(&frame.result);
  }
}

}  // namespace fraud::pg

// Declares the SQL function fraud_detect_NAME, whose body follows as a C++
// function of fcinfo that may throw.
#define FRAUD_FUNCTION(name)                                    \
  static Datum name##_body(FunctionCallInfo fcinfo);            \
  extern "C" {                                                  \
  PG_FUNCTION_INFO_V1(fraud_detect_##name);                     \
  Datum fraud_detect_##name(PG_FUNCTION_ARGS) {                 \
    Datum result = (Datum)0;                                    \
    fraud::pg::guarded([&] { result = name##_body(fcinfo); });  \
    return result;                                              \
  }                                                             \
  }                                                             \
  static Datum name##_body([[maybe_unused]] FunctionCallInfo fcinfo)
