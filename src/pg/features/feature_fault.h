// Which feature it is that cannot be computed.
#pragma once

#include <memory>
#include <string>

#include "pg/features/feature_set.h"
#include "pg/features/online_features.h"
#include "pg/server/boundary.h"
#include "pg/server/subtransaction.h"

namespace fraud::pg {

// Returns the name of the first feature of the set that fails for these events, computed by
// itself in a subtransaction; empty where each of them can be, or where none can: the event's
// time or id is at fault.
std::string failing_feature(const FeatureSet& set, const EventSource& events, bool read_only);

// Names, of one event, what cannot be computed: feature "f" of event "id", or event "id".
std::string faulty_feature(const FeatureSet& set, const EventSource& event, bool read_only);

// Names what cannot be computed of the stored events before `to`, where a pass over them has
// failed: feature "f" of event "id"; empty where each can be.
std::string faulty_event(const FeatureSet& set, TimestampTz to);

// Throws the error again, with what `named` says it is about: could not compute ….
[[noreturn]] void throw_named(int sqlstate, const std::string& message, const std::string& detail, const std::string& hint,
                              const std::string& named);

// Runs body, in a subtransaction. Where an expression fails, the error that goes on has the name
// that `name` finds. What is about the call, the rights or the statement goes on as it is.
template <typename Body, typename Name>
void name_fault(Body&& body, Name&& name) {
  try {
    in_subtransaction(body);
  } catch (const PgError& error) {
    const ErrorData* data = error.data();
    const int category = ERRCODE_TO_CATEGORY(data->sqlerrcode);
    // What the data may be at fault for: data exceptions, and what functions raise.
    if (data->elevel != ERROR || (category != ERRCODE_DATA_EXCEPTION && category != MAKE_SQLSTATE('P', '0', '0', '0', '0'))) throw;
    auto or_empty = [](const char* text) { return std::string(text != nullptr ? text : ""); };
    throw_named(data->sqlerrcode, error.what(), or_empty(data->detail), or_empty(data->hint), name());
  }
}

}  // namespace fraud::pg
