#include "pg/payments/shadow_scorer.h"

#include <set>
#include <utility>

#include "pg/server/boundary.h"

namespace fraud::pg {

namespace {

Statement challengers(
    "SELECT DISTINCT ON (a.alias) a.alias, a.version FROM fraud.promotions a"
    " WHERE a.model = 'payments' AND a.alias >= 'challenger' AND a.alias < 'challenges'"
    " ORDER BY a.alias, a.promotion_id DESC",
    {});

Statement insert_shadow_scores(
    "INSERT INTO fraud.shadow_scores (card, transaction_id, occurred_at, model, model_version,"
    "  alias, score)"
    " SELECT n.card, n.transaction_id, n.occurred_at, 'payments', n.version, n.alias, n.score"
    " FROM unnest($1, $2, $3, $4, $5, $6) n(card, transaction_id, occurred_at, version, alias, score)"
    " ON CONFLICT DO NOTHING",
    {UUIDARRAYOID, TEXTARRAYOID, TIMESTAMPTZARRAYOID, INT4ARRAYOID, TEXTARRAYOID, FLOAT8ARRAYOID});

}  // namespace

ShadowScorer::ShadowScorer(Spi& spi, const PaymentScorer& champion) {
  std::vector<std::pair<std::string, int>> named;
  uint64_t count = spi.run(challengers, {});
  for (uint64_t row = 0; row < count; ++row) {
    named.emplace_back(*spi.text(row, 1), static_cast<int>(*spi.integer(row, 2)));
  }
  std::set<int> seen = {champion.model().version};
  for (const auto& [alias, version] : named) {
    if (!seen.insert(version).second) continue;
    challengers_.push_back(
        {alias, PaymentScorer(resolve_model("payments/" + std::to_string(version), false),
                              champion.feature_set())});
  }
}

void ShadowScorer::add(const pg_uuid_t& card, const std::string& transaction_id,
                       TimestampTz occurred_at, const std::vector<float>& features) {
  for (Challenger& challenger : challengers_) {
    cards_.add(uuid_param(card));
    ids_.add(text_param(transaction_id));
    times_.add(time_param(occurred_at));
    versions_.add(int4_param(challenger.scorer.model().version));
    aliases_.add(text_param(challenger.alias));
    scores_.add(float8_param(static_cast<double>(challenger.scorer.score(features.data()))));
  }
}

void ShadowScorer::write(Spi& spi) {
  if (cards_.size() == 0) return;
  spi.run(insert_shadow_scores, {cards_.array(), ids_.array(), times_.array(), versions_.array(),
                                 aliases_.array(), scores_.array()});
}

}  // namespace fraud::pg
