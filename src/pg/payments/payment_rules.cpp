#include "pg/payments/payment_rules.h"

#include <algorithm>
#include <limits>

#include "pg/payments/direct_store.h"
#include "pg/server/boundary.h"
#include "pg/server/owner_scope.h"

extern "C" {
#include "catalog/namespace.h"
}

namespace fraud::pg {

namespace {

Statement payment_fields("SELECT f.name, '_attribute_' || f.type, f.path FROM fraud.payment_fields f", {});

Statement insert_matches(
    "INSERT INTO fraud.rule_matches (card, transaction_id, occurred_at, rule, version, action, enforced, decided, model_decision,"
    "  decision, reason, tag, error)"
    " SELECT n.* FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) n(card, transaction_id, occurred_at, rule, version,"
    "  action, enforced, decided, model_decision, decision, reason, tag, error)",
    {UUIDARRAYOID, TEXTARRAYOID, TIMESTAMPTZARRAYOID, TEXTARRAYOID, INT4ARRAYOID, TEXTARRAYOID, BOOLARRAYOID, BOOLARRAYOID, TEXTARRAYOID,
     TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID});

Statement find_snooze(
    "SELECT s.snooze_id FROM fraud.snoozes s WHERE s.ended_at IS NULL AND s.until > now()"
    " AND (s.name = $1 AND s.kind = 'customer' OR s.name = $2 AND s.kind = 'merchant') ORDER BY s.snooze_id LIMIT 1",
    {TEXTOID, TEXTOID});

Statement insert_snoozed(
    "INSERT INTO fraud.snoozed_alerts (card, transaction_id, occurred_at, snooze_id, score, decision) VALUES ($1, $2, $3, $4, $5, $6)",
    {UUIDOID, TEXTOID, TIMESTAMPTZOID, INT8OID, FLOAT8OID, TEXTOID});

// What conditions see of the rows of customer and merchant, in the order of kCustomerColumns and kMerchantColumns.
Statement customer_row("SELECT c.first_payment_at, c.customer_kind FROM fraud.customers c WHERE c.card = $1", {UUIDOID});
Statement merchant_row("SELECT m.first_payment_at, m.category FROM fraud.merchants m WHERE m.merchant = $1", {TEXTOID});
constexpr std::array<std::string_view, 2> kCustomerColumns = {"customer_first_payment_at", "customer_kind"};
constexpr std::array<std::string_view, 2> kMerchantColumns = {"merchant_first_payment_at", "merchant_category"};

constexpr std::string_view kFeaturePrefix = "feature_";
constexpr size_t kAttributes = 14;  // among stored_values()

}  // namespace

PaymentRules::PaymentRules(const std::shared_ptr<const FeatureSet>& set, bool read_only)
    : set_(set), rules_(find_rules(kPayments, set->revision, [read_only] { return payment_row(read_only); }, read_only)), read_only_(read_only) {
  if (rules_ == nullptr) return;
  // Kept for as long as the rules are the same.
  static auto& known_rules = *new std::weak_ptr<RuleSet>;
  static auto& known_sources = *new std::vector<Source>;
  static auto& known_fields = *new std::vector<Field>;
  if (known_rules.lock() != rules_) {
    static MemoryContext context = nullptr;
    if (context == nullptr) {
      context = protect([] { return AllocSetContextCreate(CacheMemoryContext, "fraud_detect payment fields", ALLOCSET_SMALL_SIZES); });
    }
    known_rules.reset();
    known_sources.clear();
    known_fields.clear();
    protect([] { MemoryContextReset(context); });
    std::vector<std::string> names;
    {
      OwnerScope owner;
      Spi spi;
      const Oid schema = fraud_schema();
      const uint64_t count = spi.run(payment_fields, {}, read_only);
      for (uint64_t i = 0; i < count; ++i) {
        names.push_back(*spi.text(i, 1));
        const std::string function = *spi.text(i, 2);
        const char* called = function.c_str();
        const Datum path = *spi.datum(i, 3);
        Field field{};
        protect([&] {
          const Oid types[] = {JSONBOID, JSONPATHOID};
          oidvector* vector = buildoidvector(types, 2);
          const Oid oid = GetSysCacheOid3(PROCNAMEARGSNSP, Anum_pg_proc_oid, CStringGetDatum(called), PointerGetDatum(vector), ObjectIdGetDatum(schema));
          fmgr_info_cxt(oid, &field.function, context);
          MemoryContext outer = MemoryContextSwitchTo(context);
          field.path = PointerGetDatum(PG_DETOAST_DATUM_COPY(path));
          MemoryContextSwitchTo(outer);
        });
        known_fields.push_back(field);
      }
    }
    for (const RuleColumn& column : rules_->columns()) {
      Source source;
      size_t place = 0;
      for (; kPaymentColumnNames[place].name != nullptr; ++place) {
        if (column.name == kPaymentColumnNames[place].name) break;
      }
      const auto field = std::find(names.begin(), names.end(), column.name);
      if (kPaymentColumnNames[place].name != nullptr) {
        source = {From::kPayment, place};
      } else if (column.name == "customer") {
        source = {From::kPayment, 0};
      } else if (column.name == "score") {
        source.from = From::kScore;
      } else if (column.name == "decision") {
        source.from = From::kDecision;
      } else if (field != names.end()) {
        source = {From::kField, static_cast<size_t>(field - names.begin())};
      } else if (const auto own = std::find(kCustomerColumns.begin(), kCustomerColumns.end(), column.name); own != kCustomerColumns.end()) {
        source = {From::kCustomer, static_cast<size_t>(own - kCustomerColumns.begin())};
      } else if (const auto shop = std::find(kMerchantColumns.begin(), kMerchantColumns.end(), column.name); shop != kMerchantColumns.end()) {
        source = {From::kMerchant, static_cast<size_t>(shop - kMerchantColumns.begin())};
      } else {
        for (size_t i = 0; i < set->features.size(); ++i) {
          const std::string& feature = set->features[i].name;
          if (column.name == feature || (column.name.compare(0, kFeaturePrefix.size(), kFeaturePrefix) == 0 &&
                                         column.name.compare(kFeaturePrefix.size(), std::string::npos, feature) == 0)) {
            source = {From::kFeature, i};
          }
        }
      }
      known_sources.push_back(source);
    }
    known_rules = rules_;
  }
  sources_ = known_sources;
  fields_ = known_fields;
}

RuleValues PaymentRules::values_of(Entry& entry) {
  const std::array<SqlValue, 15> payment = stored_values(entry);
  RuleValues seen{std::vector<Datum>(sources_.size(), (Datum)0), std::vector<char>(sources_.size(), 1), entry.decision};
  // Looked up where a rule asks, once each.
  std::optional<std::array<SqlValue, 2>> customer, merchant;
  auto own_value = [this](std::optional<std::array<SqlValue, 2>>& row, Statement& statement, const SqlValue& key, size_t place) {
    if (!row) {
      std::optional<TimestampTz> first;
      std::optional<std::string> name;
      {
        Spi spi;
        if (spi.run(statement, {key}, read_only_) > 0) {
          if (const std::optional<Datum> time = spi.datum(0, 1)) first = DatumGetTimestampTz(*time);
          name = spi.text(0, 2);
        }
      }
      row = {first ? time_param(*first) : null_param(), name ? text_param(*name) : null_param()};
    }
    return (*row)[place];
  };
  for (size_t i = 0; i < sources_.size(); ++i) {
    if (!rules_->uses(i)) continue;
    SqlValue value = null_param();
    const Source& source = sources_[i];
    switch (source.from) {
      case From::kPayment:
        value = payment[source.place];
        break;
      case From::kField:
        if (!payment[kAttributes].null) {
          Field& field = fields_[source.place];
          bool null = false;
          value.null = false;
          value.value = protect([&] {
            LOCAL_FCINFO(call, 2);
            InitFunctionCallInfoData(*call, &field.function, 2, InvalidOid, nullptr, nullptr);
            call->args[0] = {payment[kAttributes].value, false};
            call->args[1] = {field.path, false};
            const Datum result = FunctionCallInvoke(call);
            null = call->isnull;
            return result;
          });
          value.null = null;
        }
        break;
      case From::kFeature: {
        const float feature = entry.features[source.place];
        if (feature == feature) value = float8_param(static_cast<double>(feature));
        break;
      }
      case From::kScore:
        value = float8_param(static_cast<double>(entry.score));
        break;
      case From::kDecision:
        value = optional_text_param(entry.decision);
        break;
      case From::kCustomer:
        value = own_value(customer, customer_row, uuid_param(card_uuid(entry.card)), source.place);
        break;
      case From::kMerchant:
        value = own_value(merchant, merchant_row, text_param(entry.payment->merchant), source.place);
        break;
      case From::kNowhere:
        break;
    }
    seen.values[i] = value.value;
    seen.nulls[i] = value.null;
  }
  return seen;
}

std::vector<RuleOutcome> PaymentRules::apply(std::vector<Entry>& entries) {
  std::vector<RuleValues> rows;
  rows.reserve(entries.size());
  for (Entry& entry : entries) rows.push_back(values_of(entry));
  Snapshot snapshot = protect([&] {
    if (!read_only_) CommandCounterIncrement();
    return RegisterSnapshot(read_only_ ? GetActiveSnapshot() : GetTransactionSnapshot());
  });
  std::vector<RuleOutcome> outcomes = rules_->evaluate(rows, snapshot);
  protect([&] { UnregisterSnapshot(snapshot); });
  for (size_t i = 0; i < entries.size(); ++i) entries[i].decision = outcomes[i].verdict.decision;
  return outcomes;
}

void PaymentRules::write(Spi& spi, const std::vector<Entry>& entries, const std::vector<RuleOutcome>& outcomes,
                         const std::vector<std::string>& model_decisions) {
  Column cards(UUIDOID), ids(TEXTOID), times(TIMESTAMPTZOID);
  MatchColumns matches;
  for (size_t i = 0; i < entries.size(); ++i) {
    for (size_t m = 0; m < outcomes[i].matches.size(); ++m) {
      cards.add(uuid_param(card_uuid(entries[i].card)));
      ids.add(text_param(entries[i].payment->transaction_id));
      times.add(time_param(entries[i].occurred_at));
    }
    matches.add(outcomes[i], model_decisions[i], entries[i].decision);
  }
  if (cards.size() > 0) {
    std::vector<SqlValue> params = {cards.array(), ids.array(), times.array()};
    matches.append_to(params);
    spi.run(insert_matches, params);
  }
  note_slow_rules(spi, *rules_);
}

bool is_snoozed(Spi& spi, const Entry& entry, const RuleOutcome* outcome) {
  auto alerts = [](const std::string& decision) { return decision == "review" || decision == "block"; };
  std::optional<int64_t> snooze;
  if (outcome != nullptr && outcome->snooze != 0 && !alerts(outcome->without_snoozed)) snooze = outcome->snooze;
  if (!snooze && spi.run(find_snooze, {text_param(format_uuid(card_uuid(entry.card))), text_param(entry.payment->merchant)}) > 0) {
    snooze = spi.integer(0, 1);
  }
  if (!snooze) return false;
  spi.run(insert_snoozed, {uuid_param(card_uuid(entry.card)), text_param(entry.payment->transaction_id), time_param(entry.occurred_at),
                           int8_param(*snooze), float8_param(static_cast<double>(entry.score)), text_param(entry.decision)});
  return true;
}

}  // namespace fraud::pg
