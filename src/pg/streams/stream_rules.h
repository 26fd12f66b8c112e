// Rules applied to the events of a stream as they are decided (src/pg/rules).
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "pg/features/feature_set.h"
#include "pg/rules/rule_outcome.h"
#include "pg/rules/rule_set.h"

namespace fraud::pg {

// An event as conditions see it.
struct SeenEvent {
  Datum row;  // of the table
  std::optional<TimestampTz> time;
  std::optional<float> score;
  const std::string* decision;         // of the model; empty: none
  const std::vector<float>* features;  // null: they could not be computed
};

class StreamRules {
 public:
  explicit StreamRules(const std::shared_ptr<const FeatureSet>& set);

  bool empty() const noexcept { return rules_ == nullptr; }

  std::vector<RuleOutcome> apply(const std::vector<SeenEvent>& events);

  // Stores the matches of one event with its decision, by the number of that.
  struct Matched {
    int64_t decision_id;
    std::optional<std::string> event_id;
    std::optional<TimestampTz> event_time;
    const RuleOutcome* outcome;
    std::string model_decision, decision;
  };
  void write(Spi& spi, const std::vector<Matched>& events);

 private:
  std::shared_ptr<const FeatureSet> set_;
  std::shared_ptr<RuleSet> rules_;
};

// If an alert of the event is to be kept back, counts it and returns true. Without rules it has no outcome.
bool is_snoozed(Spi& spi, const std::string& stream, const std::string& entity, const StreamRules::Matched& event, const std::optional<float>& score);

}  // namespace fraud::pg
