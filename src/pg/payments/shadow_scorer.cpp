#include "pg/payments/shadow_scorer.h"

#include "pg/server/boundary.h"

namespace fraud::pg {

namespace {

Statement insert_shadow_scores(
    "INSERT INTO fraud.shadow_scores (card, transaction_id, occurred_at, model, model_version,"
    "  alias, score)"
    " SELECT n.card, n.transaction_id, n.occurred_at, 'payments', n.version, n.alias, n.score"
    " FROM unnest($1, $2, $3, $4, $5, $6) n(card, transaction_id, occurred_at, version, alias, score)"
    " ON CONFLICT DO NOTHING",
    {UUIDARRAYOID, TEXTARRAYOID, TIMESTAMPTZARRAYOID, INT4ARRAYOID, TEXTARRAYOID, FLOAT8ARRAYOID});

}  // namespace

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
