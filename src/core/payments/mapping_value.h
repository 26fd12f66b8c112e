// What a rule of a mapping makes of what its path has found.
#pragma once

#include "core/base/guard.h"

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "core/payments/json_document.h"
#include "core/payments/mapping.h"

namespace fraud {

// What was found: a node of a document, or nothing.
struct FoundValue {
  const Document* document;
  size_t node;
  bool is_given() const { return document != nullptr && document->kind(node) != Kind::kNull; }
  Kind kind() const { return document->kind(node); }
  std::string_view text() const { return document->text(node); }
  bool is_scalar() const { return !document->is_container(node); }
};

// True where the rule takes what was found as it is.
bool is_taken_as_found(const FieldRule& rule, const FoundValue& found);

// Appends the value of the rule's field as JSON; false: it has none. `*is_refund` is set where the
// amount's sign says so; `faults` takes why the value is {"unreadable": …}.
bool map_value(const Mapping& mapping, size_t rule, const FoundValue& found, std::string* value, bool* is_refund,
               std::vector<MappingFault>* faults);

}  // namespace fraud
