// Writes what was read of a payment for people to repair.
#pragma once

#include "core/base/guard.h"

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "core/payments/json_document.h"
#include "core/payments/mask.h"

namespace fraud {

// Of a member that is an attribute, whatever its name.
constexpr int kAttribute = -2;

// One field of a payment: its name, its value's node, and which field it is, if one that
// PaymentBuilder knows.
struct Member {
  std::string_view name;
  size_t node;
  int field;
};

// Writes a payload as JSON that jsonb takes, without what must not be kept; what exceeds
// kMaxRejectedPayloadBytes is not written. A value that could not be read is written as
// {"unreadable": "..."}: no field takes that, so it has to be repaired before it is sent again.
class PayloadWriter {
 public:
  // `card_digits` are hidden wherever they stand. With Masking::kAny it is not known
  // which of the values is the card number.
  PayloadWriter(const Document& document, std::string_view card_digits, Masking masking)
      : document_(document), card_digits_(card_digits), masking_(masking) {}

  // Writes the members as one object, without the card number, or what else says in secret who
  // pays.
  void write_members(const std::vector<Member>& members);

  // Writes a value. It recurses no deeper than kMaxJsonDepth.
  void write(size_t node);

  std::string take() { return std::move(out_); }
  size_t id_at() const { return id_at_; }
  size_t id_size() const { return id_size_; }

 private:
  bool is_full() const;
  std::string kept(std::string_view text) const;
  bool names_forbidden(const std::vector<Member>& members) const;
  void write_key(std::string_view key, bool* is_first);
  void write_number(std::string_view number);
  void write_unreadable(size_t node);
  void write_container(size_t node);

  const Document& document_;
  std::string_view card_digits_;
  Masking masking_;
  size_t depth_ = 0;
  size_t id_at_ = 0, id_size_ = 0;
  std::string out_;
};

// Writes the attributes of a payment: those of the members that are no fields of payments, and what
// the field "attributes" holds, as one object; empty where there are none. `secret` is the card number, or
// what is as secret (Payment::card_number), and hidden wherever it stands.
std::string write_attributes(const Document& document, const std::vector<Member>& members, std::string_view secret);

// The same of the text of an object, as far as it is one.
std::string read_attributes(std::string_view json, std::string_view secret);

// Hides a secret that is no card number ("iban:…") wherever it stands in one piece; the text keeps its length.
void hide_secret(std::string_view secret, std::string* text);

// True for a field of this name: see is_forbidden_field. It remembers what it was asked.
bool is_cut_field(std::string_view name);

// True for an object such as {"name": "cvv", "value": …}: what does not name it is cut.
bool names_forbidden(const Document& document, size_t object);

// Cuts a payload to its bound, between characters, and says so at its end.
void bound_payload(std::string* payload);

}  // namespace fraud
