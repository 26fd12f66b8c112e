#include "core/payments/mapping_plan.h"

#include <algorithm>

#include "core/payments/mapping_value.h"
#include "core/payments/payload_writer.h"
#include "core/payments/payment.h"

namespace fraud {
namespace {

constexpr size_t kNothing = static_cast<size_t>(-1);
constexpr std::string_view kAttributes = "attributes";
constexpr std::string_view kAttributesOf = "attributes.";

std::string_view field_name(const FieldRule& rule) { return rule.is_minor ? std::string_view("amt_minor") : std::string_view(rule.name); }

}  // namespace

MappingPlan::MappingPlan(const Mapping& mapping) : mapping_(mapping) {
  for (size_t i = 0; i < mapping.rules.size(); ++i) {
    const FieldRule& rule = mapping.rules[i];
    const bool is_attribute = std::string_view(rule.name).substr(0, kAttributesOf.size()) == kAttributesOf;
    fields_.push_back(is_attribute ? kAttribute : find_payment_field(field_name(rule)));
    if (rule.path.empty()) continue;
    is_usable_ = is_usable_ && rule.is_plain && rule.more.empty() && add(rule.steps, i);
  }
}

// Adds a path to the tree; false where it ends within another, or is no path of members.
bool MappingPlan::add(const std::vector<PathStep>& path, size_t rule) {
  if (path.empty()) return false;
  Step* at = &root_;
  for (const PathStep& one : path) {
    if (one.index >= 0 || !at->rules.empty()) return false;
    Step* next = step_at(*at, one.key);
    if (next == nullptr) {
      at->steps.emplace_back();
      next = &at->steps.back();
      next->key = one.key;
    }
    at = next;
  }
  at->rules.push_back(rule);
  return at->steps.empty();
}

MappingPlan::Step* MappingPlan::step_at(Step& parent, std::string_view key) {
  for (Step& step : parent.steps) {
    if (step.key == key) return &step;
  }
  return nullptr;
}

// Looks through an object that paths lead into. False: it has an array where they go on, a member
// of theirs twice, or an object of what must not be kept ({"name": "cvv", "value": …}).
bool MappingPlan::walk(const Document& document, size_t object, Step& parent, Within* within) {
  const bool is_root = object == 0;
  for (size_t key = Document::first(object); key < document.next(object);) {
    const size_t value = document.next(key);
    const Kind kind = document.kind(value);
    Step* step = step_at(parent, document.text(key));
    bool is_left = step == nullptr;
    if (step != nullptr) {
      if (step->seen == payment_) return false;
      step->seen = payment_;
      if (!step->rules.empty()) {
        for (const size_t rule : step->rules) nodes_[rule] = value;
        within->is_taken = true;
      } else if (kind == Kind::kArray) {
        return false;
      } else if (kind != Kind::kObject) {
        is_left = true;
      } else if (names_forbidden(document, value)) {
        return false;
      } else {
        const size_t place = withins_.size();
        withins_.push_back({value});
        Within inner{value};
        if (!walk(document, value, *step, &inner)) return false;
        withins_[place] = inner;
        within->is_taken = within->is_taken || inner.is_taken;
        is_left = !inner.is_taken || inner.is_left;
      }
    }
    within->is_left = within->is_left || is_left;
    if (is_root && is_left) attributes_.push_back({{}, key, value, kAttribute});
    key = document.next(value);
  }
  return true;
}

// Adds an object without what was taken, and without objects of which nothing is left.
size_t MappingPlan::copy_rest(size_t object, Step& parent) {
  const size_t rest = document_->open_container(Kind::kObject);
  const size_t end = document_->next(object);
  for (size_t key = Document::first(object); key < end;) {
    const size_t value = document_->next(key);
    const size_t next = document_->next(value);
    Step* step = step_at(parent, document_->text(key));
    const auto within = std::find_if(withins_.begin(), withins_.end(), [&](const Within& one) { return one.node == value; });
    if (step == nullptr || (step->rules.empty() && (within == withins_.end() || !within->is_taken))) {
      (void)document_->add_copy(key);
      (void)document_->add_copy(value);
    } else if (within != withins_.end() && within->is_left) {
      (void)document_->add_copy(key);
      (void)copy_rest(value, *step);
    }
    key = next;
  }
  document_->close_container();
  return rest;
}

// Puts what the rules make of what was found into found_ and before the attributes.
bool MappingPlan::apply_rules(std::vector<MappingFault>* faults) {
  std::vector<Found> attributes;
  bool is_refund = false;
  size_t kind = kNothing;
  for (size_t i = 0; i < mapping_.rules.size(); ++i) {
    const FieldRule& rule = mapping_.rules[i];
    const FoundValue found{nodes_[i] == kNothing ? nullptr : document_, nodes_[i]};
    size_t node = found.node;
    if (!is_taken_as_found(rule, found)) {
      std::string value;
      if (!map_value(mapping_, i, found, &value, &is_refund, faults)) continue;
      if (!faults->empty() || scratch_.read(value) != Document::Reading::kWhole || scratch_.is_container(0) || !scratch_.is_clean()) return false;
      node = document_->add_scalar(scratch_.kind(0), scratch_.text(0));
    }
    const std::string_view name = rule.name;
    if (name == "kind") {
      kind = node;
    } else if (fields_[i] == kAttribute) {
      attributes.push_back({name.substr(kAttributesOf.size()), 0, node, kAttribute});
    } else if (name == kAttributes) {
      // An object of attributes joins what is left over.
      if (document_->kind(node) != Kind::kObject) return false;
      for (size_t key = Document::first(node); key < document_->next(node);) {
        const size_t value = document_->next(key);
        attributes.push_back({{}, key, value, kAttribute});
        key = document_->next(value);
      }
    } else {
      found_.push_back({field_name(rule), 0, node, fields_[i]});
    }
  }
  if (is_refund && (kind == kNothing || (document_->kind(kind) == Kind::kString && document_->text(kind) == "payment"))) {
    kind = document_->add_scalar(Kind::kString, "refund");
  }
  if (kind != kNothing) found_.push_back({"kind", 0, kind, find_payment_field("kind")});
  attributes_.insert(attributes_.begin(), attributes.begin(), attributes.end());
  return true;
}

bool MappingPlan::members(Document* document, std::vector<Member>* members) {
  // As attributes they are nested deeper by one.
  if (!is_usable_ || !document->is_clean() || document->depth() >= kMaxJsonDepth) return false;
  document_ = document;
  ++payment_;
  nodes_.assign(mapping_.rules.size(), kNothing);
  withins_.clear();
  found_.clear();
  attributes_.clear();
  Within root{0};
  if (!walk(*document, 0, root_, &root)) return false;
  // What is left of objects of which something is taken.
  for (Found& one : attributes_) {
    const auto within = std::find_if(withins_.begin(), withins_.end(), [&](const Within& inner) { return inner.node == one.node; });
    if (within == withins_.end() || !within->is_taken) continue;
    one.node = copy_rest(one.node, *step_at(root_, document->text(one.key)));
  }
  std::vector<MappingFault> faults;
  if (!apply_rules(&faults)) return false;
  members->clear();
  for (const std::vector<Found>* list : {&found_, &attributes_}) {
    for (const Found& one : *list) {
      members->push_back({one.name.data() != nullptr ? one.name : document->text(one.key), one.node, one.field});
    }
  }
  return true;
}

}  // namespace fraud
