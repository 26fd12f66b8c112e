// A mapping whose paths lead through members of objects alone, as a tree of their steps: one walk
// over a payment finds all fields and what is left over, and hands both on as nodes. What is out of
// the ordinary goes by way of a text (Mapping::apply), which this must never differ from.
#pragma once

#include "core/base/guard.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/payments/json_document.h"
#include "core/payments/mapping.h"
#include "core/payments/payload_writer.h"

namespace fraud {

class MappingPlan {
 public:
  explicit MappingPlan(const Mapping& mapping);

  // Puts the fields and the attributes of the document's payment, an object, into `members`; what it
  // takes to say a value otherwise is added to the document. False where that is not to be had so.
  bool members(Document* document, std::vector<Member>* members);

 private:
  // What stands at a place that paths lead to.
  struct Step {
    std::string key;
    std::vector<size_t> rules;  // that end here; then there are no steps
    std::vector<Step> steps;
    uint64_t seen = 0;  // the payment in which it was met last
  };
  // Of an object that paths lead into: whether something of it is taken, and whether something is left.
  struct Within {
    size_t node;
    bool is_taken = false, is_left = false;
  };
  // A member, before its name is where it stays.
  struct Found {
    std::string_view name;  // a rule's; without data: the text of `key`
    size_t key, node;
    int field;
  };

  bool add(const std::vector<PathStep>& path, size_t rule);
  Step* step_at(Step& parent, std::string_view key);
  bool walk(const Document& document, size_t object, Step& parent, Within* within);
  size_t copy_rest(size_t object, Step& parent);
  bool apply_rules(std::vector<MappingFault>* faults);

  const Mapping& mapping_;
  bool is_usable_ = true;
  Step root_;
  std::vector<int> fields_;  // of the rules
  uint64_t payment_ = 0;
  Document* document_ = nullptr;
  std::vector<size_t> nodes_;   // that the rules' paths lead to
  std::vector<Within> withins_;
  std::vector<Found> found_, attributes_;
  Document scratch_;
};

}  // namespace fraud
