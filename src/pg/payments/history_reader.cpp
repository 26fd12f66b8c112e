#include "pg/payments/history_reader.h"

#include "core/base/json_text.h"
#include "core/payments/forbidden_fields.h"
#include "core/payments/payload_writer.h"

#include <optional>

#include "pg/server/boundary.h"
#include "pg/server/pinned_settings.h"

extern "C" {
#include "utils/lsyscache.h"
}

namespace fraud::pg {

std::vector<HistoryField> history_fields(Oid relation) {
  std::vector<HistoryField> fields;
  std::string known, attributes;
  bool has_others = false;
  Oid row_type = protect([&] { return get_rel_type_id(relation); });
  if (!OidIsValid(row_type)) {
    throw SqlError(ERRCODE_UNDEFINED_TABLE,
                   "no table or view has the OID " + std::to_string(relation), {}, "Give its name: 'SCHEMA.TABLE'.");
  }
  TupleDesc descriptor = protect([&] { return lookup_rowtype_tupdesc_copy(row_type, -1); });
  for (int i = 0; i < descriptor->natts; ++i) {
    Form_pg_attribute attribute = TupleDescAttr(descriptor, i);
    if (attribute->attisdropped) continue;
    std::string name = NameStr(attribute->attname);
    const char* quoted = protect([&] { return quote_identifier(NameStr(attribute->attname)); });
    std::string column = std::string("h.") + quoted;
    if (!is_payment_field(name)) {
      has_others = true;
      continue;
    }
    const char* literal = protect([&] { return quote_literal_cstr(NameStr(attribute->attname)); });
    known += (known.empty() ? "" : ", ") + std::string(literal);
    if (name == "attributes") {
      attributes = "pg_catalog.to_jsonb(" + column + ")";
      continue;
    }
    switch (attribute->atttypid) {
      case TIMESTAMPOID:
        // to_char leaves the era out; BC is no time of a payment, and refused.
        column = "CASE WHEN " + column + " < '0001-01-01'::pg_catalog.timestamp THEN 'BC' " +
                 "ELSE pg_catalog.to_char(" + column + ", 'YYYY-MM-DD HH24:MI:SS.US') END";
        break;
      case TIMESTAMPTZOID:
        column = "pg_catalog.to_char(pg_catalog.timezone('UTC', " + column +
                 "), 'YYYY-MM-DD HH24:MI:SS.US')";
        break;
      case DATEOID:
        column = "pg_catalog.to_char(" + column + ", 'YYYY-MM-DD')";
        break;
      default:
        column += "::pg_catalog.text";
    }
    fields.push_back({name, column});
  }
  // Columns that are no fields of payments are attributes, beside those of a column of that name.
  if (has_others) {
    const std::string object = "pg_catalog.jsonb_strip_nulls(pg_catalog.to_jsonb(h.*) OPERATOR(pg_catalog.-) ARRAY[" + known + "]::pg_catalog.text[])";
    attributes = attributes.empty() ? object : "coalesce(" + attributes + ", '{}') OPERATOR(pg_catalog.||) " + object;
  }
  if (!attributes.empty()) fields.push_back({"attributes", "(" + attributes + ")::pg_catalog.text"});
  return fields;
}

namespace {

bool has_field(const std::vector<HistoryField>& fields, std::string_view name) {
  for (const HistoryField& field : fields) {
    if (field.name == name) return true;
  }
  return false;
}

}  // namespace

HistoryQuery history_query(Oid relation, const std::vector<HistoryField>& fields) {
  const char* name = protect([&] {
    return quote_qualified_identifier(get_namespace_name(get_rel_namespace(relation)),
                                      get_rel_name(relation));
  });
  std::string missing;
  auto want = [&](bool there, const char* what) {
    if (!there) missing += (missing.empty() ? "" : ", ") + std::string(what);
  };
  const char* time = nullptr;
  for (const char* candidate : {"current_time", "trans_date_trans_time", "unix_time"}) {
    if (time == nullptr && has_field(fields, candidate)) time = candidate;
  }
  const char* card = has_field(fields, "cc_num") ? "cc_num" : has_field(fields, "customer") ? "customer" : "card";
  want(has_field(fields, card), "cc_num");
  want(has_field(fields, "trans_num"), "trans_num");
  want(has_field(fields, "amt") || has_field(fields, "amt_minor"), "amt");
  want(has_field(fields, "merchant"), "merchant");
  want(time != nullptr, "trans_date_trans_time (or current_time, or unix_time)");
  if (!missing.empty()) {
    throw SqlError(ERRCODE_UNDEFINED_COLUMN,
                   "relation " + std::string(name) + " is not in the layout of a payment history",
                   "Missing columns: " + missing + ".",
                   "The columns are those of Kaggle's fraudTrain.csv, by name; docs/payments.md "
                   "lists them.");
  }
  std::string query = "SELECT ";
  for (size_t i = 0; i < fields.size(); ++i) query += (i > 0 ? ", " : "") + fields[i].expression;
  const char* quoted_time = protect([&] { return quote_identifier(time); });
  HistoryQuery parts;
  parts.select = query + " FROM " + name + " h";
  parts.card = std::string("h.") + card;
  parts.time = std::string("h.") + quoted_time;
  const Oid type = protect([&] { return get_atttype(relation, get_attnum(relation, time)); });
  if (type == TIMESTAMPTZOID) parts.from_time = parts.time + " OPERATOR(pg_catalog.>=) $1";
  if (type == TIMESTAMPOID) {
    parts.from_time = parts.time + " OPERATOR(pg_catalog.>=) pg_catalog.timezone('UTC', $1)";
  }
  return parts;
}

int begin_reading_history() {
  return protect([] {
    const int level = NewGUCNestLevel();
    pin_value_settings();
    return level;
  });
}

void check_label_delay(const Interval& delay) {
  Interval none{};
  const bool negative = protect([&] {
    return DatumGetInt32(DirectFunctionCall2(interval_cmp, IntervalPGetDatum(&delay), IntervalPGetDatum(&none))) < 0;
  });
  if (negative) throw SqlError(ERRCODE_INVALID_PARAMETER_VALUE, "label_delay must not be negative");
}

std::string relation_name(Oid relation) {
  return protect([&] {
    return quote_qualified_identifier(get_namespace_name(get_rel_namespace(relation)), get_rel_name(relation));
  });
}

std::string read_history_row(const Spi& spi, uint64_t row, const std::vector<HistoryField>& fields,
                     PaymentBatch& batch) {
  PaymentBuilder builder;
  std::string card;
  std::vector<std::optional<std::string>> texts(fields.size());
  // What amounts and customers may be depends on some.
  for (const bool first : {true, false}) {
    for (size_t i = 0; i < fields.size(); ++i) {
      if (comes_first(find_payment_field(fields[i].name)) != first) continue;
      texts[i] = spi.text(row, static_cast<int>(i) + 1);
      if (!texts[i]) continue;
      builder.set(fields[i].name, *texts[i]);
      if (fields[i].name == "cc_num" || fields[i].name == "card" || fields[i].name == "customer") card = *texts[i];
    }
  }
  std::string reason;
  if (std::optional<Payment> payment = builder.finish(&reason)) {
    std::string attributes;
    for (size_t i = 0; i < fields.size(); ++i) {
      if (fields[i].name == "attributes" && texts[i]) attributes = *texts[i];
    }
    // Of a payment itself it is an attribute, as where payments come singly.
    if (!is_follow_up(payment->kind) && !payment->reference.empty() && (attributes.empty() || attributes.back() == '}')) {
      if (attributes.empty()) attributes = "{}";
      attributes.insert(1, "\"reference\":" + json_string(payment->reference) + (attributes.size() > 2 ? "," : ""));
      payment->reference.clear();
    }
    if (!attributes.empty()) payment->attributes = read_attributes(attributes, payment->card_number);
    batch.payments.push_back(std::move(*payment));
    return card;
  }
  RejectedPayment rejected;
  rejected.reason = reason;
  rejected.transaction_id = builder.partial().transaction_id;
  rejected.card_number = builder.partial().card_number;
  rejected.id_holds_card = builder.partial().id_holds_card;
  for (size_t i = 0; i < fields.size(); ++i) {
    if (!texts[i] || fields[i].name == "cc_num" || fields[i].name == "customer" || fields[i].name == "attributes") continue;
    rejected.payload += (rejected.payload.empty() ? "{" : ",") + json_string(fields[i].name) + ":";
    const std::string value = json_string(builder.card_is_unknown() ? redact_broken(*texts[i])
                                                                : redact(*texts[i], builder.card_digits()));
    if (fields[i].name == "trans_num") {
      rejected.id_at = rejected.payload.size();
      rejected.id_size = value.size();
    }
    rejected.payload += value;
  }
  rejected.payload += rejected.payload.empty() ? "{}" : "}";
  batch.rejected.push_back(std::move(rejected));
  return card;
}

}  // namespace fraud::pg
