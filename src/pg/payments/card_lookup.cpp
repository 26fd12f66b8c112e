#include "pg/payments/card_lookup.h"

#include "pg/server/boundary.h"
#include "pg/server/current_snapshot.h"
#include "pg/server/gucs.h"
#include "pg/server/index_lookup.h"
#include "pg/server/row_lookup.h"

namespace fraud::pg {

namespace {

Statement find_hashes("SELECT n.i, i.card FROM unnest($1, $2) WITH ORDINALITY n(key_id, hash, i)"
                      " JOIN LATERAL (SELECT c.card FROM fraud.customer_ids c"
                      "  WHERE c.kind = 'card' AND c.key_id = n.key_id AND c.hash = n.hash OFFSET 0) i ON true",
                      {UUIDARRAYOID, UUIDARRAYOID});
Statement find_customers("SELECT n.i FROM unnest($1) WITH ORDINALITY n(card, i)"
                         " WHERE EXISTS (SELECT FROM fraud.customers c WHERE c.card = n.card)"
                         "  OR EXISTS (SELECT FROM fraud.inbox b WHERE b.card = n.card)",
                         {UUIDARRAYOID});
Statement insert_hashes("INSERT INTO fraud.customer_ids (kind, key_id, hash, card)"
                        " SELECT 'card', n.key_id, n.hash, n.card FROM unnest($1, $2, $3) n(key_id, hash, card)"
                        // Of a key that was destroyed since the payment was received, nothing.
                        " WHERE NOT EXISTS (SELECT FROM fraud.card_keys k WHERE k.key_id = n.key_id AND k.destroyed_at IS NOT NULL)"
                        " ON CONFLICT DO NOTHING",
                        {UUIDARRAYOID, UUIDARRAYOID, UUIDARRAYOID});
Statement other_cards("SELECT FROM unnest($1, $2, $3) n(key_id, hash, card)"
                      " JOIN LATERAL (SELECT c.card FROM fraud.customer_ids c"
                      "  WHERE c.kind = 'card' AND c.key_id = n.key_id AND c.hash = n.hash OFFSET 0) i ON true"
                      " WHERE i.card <> n.card",
                      {UUIDARRAYOID, UUIDARRAYOID, UUIDARRAYOID});

}  // namespace

const CardKeys& CardLookup::keys() {
  if (!keys_) keys_.emplace(spi_, read_only_);
  return *keys_;
}

void CardLookup::find(const std::vector<std::string_view>& numbers) {
  std::vector<std::map<std::string_view, KnownCard>::iterator> asked;
  std::vector<NumberHash> pairs;  // of each number, one for each key
  for (std::string_view number : numbers) {
    auto [at, is_new] = known_.try_emplace(number);
    if (!is_new) continue;
    at->second.hash = keys().hash(0, number);
    at->second.card = card_id(at->second.hash);
    asked.push_back(at);
    for (size_t key = 0; key < keys().size(); ++key) {
      pairs.push_back({keys().id(key), key == 0 ? at->second.hash : keys().hash(key, number)});
    }
  }
  if (asked.empty()) return;
  auto found = [&](size_t place, const pg_uuid_t& card) {
    KnownCard& known = asked[place / keys().size()]->second;
    known.card = card_id(card);
    known.is_found = true;
    if (place % keys().size() == 0) known.is_current = true;
  };
  if (guc_direct_access && RowLookup::suffices("customer_ids", "customer_ids_pkey", 3)) {
    std::optional<CurrentSnapshot> current;
    if (!read_only_) current.emplace();
    RowLookup rows("customer_ids", "customer_ids_pkey");
    const int card = rows.place("card");
    const Snapshot snapshot = GetActiveSnapshot();
    Datum key[] = {protect([] { return text_datum("card"); }), 0, 0};
    for (size_t place = 0; place < pairs.size(); ++place) {
      key[1] = UUIDPGetDatum(&pairs[place].key_id);
      key[2] = UUIDPGetDatum(&pairs[place].hash);
      rows.find(key, 3, snapshot);
      bool null = false;
      if (rows.next()) found(place, *DatumGetUUIDP(rows.value(card, &null)));
    }
  } else {
    Column ids(UUIDOID), hashes(UUIDOID);
    for (const NumberHash& pair : pairs) {
      ids.add(uuid_param(pair.key_id));
      hashes.add(uuid_param(pair.hash));
    }
    const uint64_t count = spi_.run(find_hashes, {ids.array(), hashes.array()}, read_only_);
    for (uint64_t row = 0; row < count; ++row) found(static_cast<size_t>(*spi_.integer(row, 1)) - 1, *DatumGetUUIDP(*spi_.datum(row, 2)));
  }
  if (keys().size() == 1) return;
  std::vector<std::string_view> unknown;
  for (const auto& at : asked) {
    if (!at->second.is_found) unknown.push_back(at->first);
  }
  if (!unknown.empty()) find_by_old_ids(unknown);
}

// A customer may be there without its number: by the id that a dead letter, or a payment
// that still waits, got under a key which has been retired since.
void CardLookup::find_by_old_ids(const std::vector<std::string_view>& unknown) {
  Column cards(UUIDOID);
  std::vector<CardId> derived;
  for (std::string_view number : unknown) {
    for (size_t key = 1; key < keys().size(); ++key) {
      derived.push_back(card_id(keys().hash(key, number)));
      cards.add(uuid_param(card_uuid(derived.back())));
    }
  }
  const uint64_t count = spi_.run(find_customers, {cards.array()}, read_only_);
  for (uint64_t row = 0; row < count; ++row) {
    const size_t place = static_cast<size_t>(*spi_.integer(row, 1)) - 1;
    known_.at(unknown[place / (keys().size() - 1)]).card = derived[place];
  }
}

const KnownCard& CardLookup::operator[](std::string_view number) {
  auto known = known_.find(number);
  if (known != known_.end()) return known->second;
  find({number});
  return known_.at(number);
}

CardId CardLookup::plain(std::string_view kind, std::string_view id) {
  if (!id_key_) id_key_.emplace(spi_);
  return card_id(id_key_->customer(kind, id));
}

std::vector<NumberHash> CardLookup::missing(std::string_view number) {
  const KnownCard& known = (*this)[number];
  std::vector<NumberHash> hashes;
  if (known.is_current) return hashes;
  const size_t wanted = known.is_found ? 1 : keys().size();
  for (size_t key = 0; key < wanted; ++key) {
    hashes.push_back({keys().id(key), key == 0 ? known.hash : keys().hash(key, number)});
  }
  return hashes;
}

void CardLookup::write(const std::vector<std::string_view>& numbers) {
  std::vector<std::pair<NumberHash, CardId>> hashes;
  for (std::string_view number : numbers) {
    KnownCard& known = known_.at(number);
    for (const NumberHash& hash : missing(number)) hashes.emplace_back(hash, known.card);
    known.is_found = known.is_current = true;
  }
  write_hashes(spi_, hashes);
}

void write_hashes(Spi& spi, const std::vector<std::pair<NumberHash, CardId>>& hashes) {
  if (hashes.empty()) return;
  Column ids(UUIDOID), values(UUIDOID), cards(UUIDOID);
  for (const auto& [hash, card] : hashes) {
    ids.add(uuid_param(hash.key_id));
    values.add(uuid_param(hash.hash));
    cards.add(uuid_param(card_uuid(card)));
  }
  const std::vector<SqlValue> rows{ids.array(), values.array(), cards.array()};
  if (spi.run(insert_hashes, rows) == ids.size()) return;
  // Another session was faster. That it gave the number another id takes a key that was
  // made or destroyed between its look and ours.
  if (spi.run(other_cards, rows) == 0) return;
  throw SqlError(ERRCODE_T_R_SERIALIZATION_FAILURE, "another session stored a new card at the same time",
                 "The keys of card numbers were changing, and the two do not agree on its id.",
                 "The transaction might succeed if retried.");
}

}  // namespace fraud::pg
