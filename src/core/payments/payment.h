// A payment as it enters the house, and the reader of every layout that it may
// come in (see docs/payments.md).
#pragma once

#include "core/base/guard.h"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/error.h"

namespace fraud {

enum class PaymentKind : uint8_t { kPayment, kAuthorisation, kCapture, kRefund, kReversal, kChargeback };

// One payment, checked. Empty strings and empty optionals mean "not given".
struct Payment {
  // Compiled once, for they are as long as the list of members.
  Payment();
  Payment(const Payment&);
  Payment(Payment&&) noexcept;
  Payment& operator=(const Payment&);
  Payment& operator=(Payment&&) noexcept;
  ~Payment();

  // What happened: a payment, or what followed one.
  PaymentKind kind = PaymentKind::kPayment;
  std::string reference;    // of what followed: the first payment's id
  bool has_amount = false;  // what followed may leave it to the first payment

  // Either card_number (8 to 19 digits) or card_token (a card's uuid as text,
  // for callers that never see the number) or customer is set; last_four is empty where
  // a token came without it, or where the customer is no card. (Of what followed a payment,
  // that one may say whose it is.)
  std::string card_number;
  std::string card_token;
  std::string last_four;
  // Who pays, where it is no card: a kind ("wallet"), and the id by which it is known. A secret
  // one is no better than a card number: then card_number holds it, after its kind ("iban:…").
  // With a plain one card_token may be given too, which is the uuid made of it.
  std::string customer_kind;
  std::string customer;

  std::string transaction_id;
  // True while the id holds what may be a card number: it must be replaced before it
  // is stored, and so that other ids stay others.
  bool id_holds_card = false;
  std::optional<int64_t> occurred_at_us;  // microseconds since the Unix epoch
  int64_t amount_minor = 0;               // of the currency's minor unit; never negative
  int decimals = 2;                       // of that unit: 2 where it is a hundredth
  bool is_of_first = false;  // of what followed: the unit is that of the first payment's currency, unknown here
  std::string currency;                   // ISO 4217; empty: fraud_detect.base_currency
  std::string merchant;                   // without the meaningless "fraud_"
  std::string category;
  std::optional<double> merchant_latitude;   // degrees
  std::optional<double> merchant_longitude;  // degrees

  std::string first_name, last_name, gender, street, city, state, zip, job;
  std::optional<double> latitude;   // of the customer's home, degrees
  std::optional<double> longitude;  // of the customer's home, degrees
  std::optional<int64_t> city_population;
  std::optional<int32_t> date_of_birth;  // days since 1970-01-01

  std::optional<bool> is_fraud;  // a label, never a feature

  // The fields that have no name here, as the text of a JSON object without what must not be
  // kept; empty: there are none.
  std::string attributes;
};

// True of what follows a payment and is none itself.
constexpr bool is_follow_up(PaymentKind kind) noexcept { return kind >= PaymentKind::kCapture; }

// Returns the kind called `name`, or nothing; and a kind's name.
std::optional<PaymentKind> payment_kind(std::string_view name) noexcept;
std::string_view payment_kind_name(PaymentKind kind) noexcept;

// True for kinds of customers whose id is as secret as a card number.
bool is_secret_kind(std::string_view customer_kind) noexcept;

// The currency that the payment is of.
std::string_view currency_of(const Payment& payment) noexcept;

// A payment that could not be read, with what is needed to repair it.
struct RejectedPayment {
  std::string payload;         // its JSON, without what must not be kept
  std::string reason;          // one line, without card numbers
  std::string transaction_id;  // empty when unreadable
  std::string card_number;     // empty when unreadable; never stored
  bool id_holds_card = false;  // as in Payment
  size_t id_at = 0;            // where the payload has the id's value, if id_size is not 0
  size_t id_size = 0;
  size_t payload_size = 0;     // where payload is only the beginning
  std::string waits_for = {};  // of what follows a payment that is not there: that one's id
  std::string same_as;         // what makes it equal to another of its reason; empty: the payload
};

struct PaymentBatch {
  // Compiled once, for they are as long as the list of members.
  PaymentBatch();
  PaymentBatch(const PaymentBatch&);
  PaymentBatch(PaymentBatch&&) noexcept;
  PaymentBatch& operator=(const PaymentBatch&);
  PaymentBatch& operator=(PaymentBatch&&) noexcept;
  ~PaymentBatch();

  std::vector<Payment> payments;
  std::vector<RejectedPayment> rejected;
  // Why the rest of the body, which is the last of `rejected` unless it is blank, could not be read.
  std::optional<Error> fault;
  bool rest_is_rejected = false;  // or the last line, which nothing ends
};

enum class PaymentFormat {
  kAuto,     // told apart by the content
  kSplit,    // pandas' split layout, as an object or wrapped in a JSON string
  kRecords,  // an array of objects, or one object
  kNdjson,   // one object a line
  kCsv,      // a header line, then a payment a line
};

// Returns the format called `name` ("auto", "split", "records", "ndjson", "csv"), or
// nothing.
std::optional<PaymentFormat> payment_format(std::string_view name) noexcept;

// Bounds of one body.
constexpr size_t kMaxJsonDepth = 16;                           // of one payment
constexpr size_t kMaxPaymentBytes = size_t{2} << 20;           // of one payment
constexpr size_t kMaxPaymentsPerBody = 250000;                 // read and rejected together
constexpr size_t kMaxRejectedBytesPerBody = size_t{64} << 20;  // of all rejected payloads
constexpr size_t kMaxRejectedPayloadBytes = size_t{1} << 20;  // longer ones are cut, and say so

// Called every thousand payments, and at least every few milliseconds, while a body is read,
// so that the caller can look up; may throw.
using GiveWay = std::function<void()>;

class Mapping;

// Told of each payment: the JSON object that it is read from, after the mapping ("": there is
// none), and why it is rejected ("": it is not).
using PaymentSeen = std::function<void(std::string_view, std::string_view)>;

// Reads all payments of a response body, one after the other. What is wrong with one payment
// puts that one on the rejected list. Where the body's structure breaks, or a bound is
// reached, what stands before is read, the rest is the last of the rejected ones, and `fault`
// says why; throws Error (kInvalidJson, kInvalidPayload, kLimitExceeded) when no payment of
// the body is whole. A JSON string that wraps any of the layouts is unwrapped once. A body of
// CSV is never told by its content.
PaymentBatch read_payments(std::string_view body, PaymentFormat format = PaymentFormat::kAuto,
                           const GiveWay& give_way = {});

// The same of a body whose payments are found, and named, as the mapping says (mapping.h).
PaymentBatch read_payments(std::string_view body, PaymentFormat format, const Mapping* mapping,
                           const GiveWay& give_way = {}, const PaymentSeen& seen = {});

constexpr size_t kPaymentFields = 32;
constexpr int kUnknownField = -1;

// Returns which of the fields is called `name`, or kUnknownField.
int find_payment_field(std::string_view name) noexcept;

// Returns a value in quotes for a reason: on one line, cut, and without card numbers, of which one
// may be known.
std::string quote_value(std::string_view text, std::string_view card_number);

// True for how tools write a missing number.
bool is_nan(std::string_view text) noexcept;

// The fields of the wire format and of the Kaggle layout, by their names there.
// A payment is built from any source by setting fields as text and finishing.
// An empty text means that the field is not given. Reasons are one line, name
// the field, and quote what was found cut and masked; never a card number. Currency, kind and
// kind of customer are set first: what amounts and customers may be depends on them.
class PaymentBuilder {
 public:
  // Sets one field; unknown names are ignored. The first fault is kept, and the
  // remaining fields are still taken, so that partial() shows what was readable.
  void set(int field, std::string_view text);
  void set(std::string_view field, std::string_view text) { set(find_payment_field(field), text); }

  // Records that the field holds what has no text, such as "an array".
  void set_unusable(int field, std::string_view found);

  // Records that JSON could not read the field's value: a number beyond a double, or a text
  // with half a surrogate pair. NaN is a missing value, of a field that may be missing.
  void set_unreadable(int field, std::string_view found, bool is_text);

  // Returns the payment and starts anew, or says why it is none (in `reason`).
  std::optional<Payment> finish(std::string* reason);

  const Payment& partial() const noexcept { return payment_; }

  // The digits that were given as the card number, also where it is none.
  const std::string& card_digits() const noexcept { return card_digits_; }

  // True when something was given as the card number of which no number was read: it
  // may then be any number of the payment.
  bool card_is_unknown() const noexcept { return has_card_ && card_digits_.empty(); }

 private:
  void fail(std::string reason);
  void set_card_number(std::string_view text);
  void set_amount(int field, std::string_view text);
  void set_customer(std::string_view text);
  void check_whole();

  Payment payment_;
  std::string card_digits_;
  std::string fault_;
  std::string time_fault_;  // of the time field that was taken
  bool has_card_ = false;
  bool has_minor_ = false;
  int time_rank_ = 0;  // which of the three time fields was taken
};

// True when an id is stored as another one, for it holds this card number or what may
// be one.
bool id_holds_card_number(std::string_view id, std::string_view card_number);

// True for the fields that are to be set first.
bool comes_first(int field) noexcept;

// True when `name` is a field that PaymentBuilder::set knows.
bool is_payment_field(std::string_view name) noexcept;

}  // namespace fraud
