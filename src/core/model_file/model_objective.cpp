#include "core/model_file/model_objective.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "core/model_file/model_faults.h"
#include "core/model_file/model_text.h"

namespace fraud {
namespace {

// From base_score to the base margin.
enum class Link { kIdentity, kLogit, kLog };

struct Objective {
  const char* name;
  Link link;
  Transform transform;
};

constexpr Objective kObjectives[] = {
    {"binary:logistic", Link::kLogit, Transform::kSigmoid},
    {"binary:logitraw", Link::kIdentity, Transform::kIdentity},
    {"reg:logistic", Link::kLogit, Transform::kSigmoid},
    {"reg:squarederror", Link::kIdentity, Transform::kIdentity},
    {"reg:linear", Link::kIdentity, Transform::kIdentity},  // its name before 0.90
    {"reg:squaredlogerror", Link::kIdentity, Transform::kIdentity},
    {"reg:pseudohubererror", Link::kIdentity, Transform::kIdentity},
    {"reg:absoluteerror", Link::kIdentity, Transform::kIdentity},
    {"count:poisson", Link::kLog, Transform::kExp},
    {"reg:gamma", Link::kLog, Transform::kExp},
    {"reg:tweedie", Link::kLog, Transform::kExp},
    {"survival:cox", Link::kLog, Transform::kExp},
    {"rank:pairwise", Link::kIdentity, Transform::kIdentity},
    {"rank:ndcg", Link::kIdentity, Transform::kIdentity},
    {"rank:map", Link::kIdentity, Transform::kIdentity},
};

// Returns the link by which the library that saved the file read base_score.
Link link_of(const Objective& objective, const std::vector<int64_t>& version) {
  // Before 1.3 logitraw took it for a probability, as logistic does.
  const std::vector<int64_t> first_with_raw_score = {1, 3};
  const bool is_raw = objective.name == std::string_view("binary:logitraw");
  if (is_raw && !version.empty() && version < first_with_raw_score) return Link::kLogit;
  return objective.link;
}

// Reads base_score: a number such as "5E-1", since XGBoost 3.1 in brackets.
float read_base_score(std::string_view text) {
  if (text.size() >= 2 && text.front() == '[' && text.back() == ']') {
    text = text.substr(1, text.size() - 2);
    if (text.find(',') != std::string_view::npos) {
      fail_unsupported("a model with more than one base score is not supported");
    }
  }
  const std::optional<float> score = parse_float(text);
  if (!score) fail_invalid("\"base_score\" is not a number");
  return *score;
}

}  // namespace

void set_objective(Forest& forest, const std::string& objective, std::string_view base_score,
                   const std::vector<int64_t>& version) {
  const Objective* const found =
      std::find_if(std::begin(kObjectives), std::end(kObjectives),
                   [&](const Objective& known) { return objective == known.name; });
  if (found == std::end(kObjectives)) {
    fail_unsupported("objective " + shown(objective) + " is not supported");
  }
  forest.objective = objective;
  forest.transform = found->transform;
  forest.base_score = read_base_score(base_score);
  float score = forest.base_score;
  switch (link_of(*found, version)) {
    case Link::kIdentity:
      if (!std::isfinite(score)) fail_invalid("\"base_score\" is not a finite number");
      forest.base_margin = score;
      break;
    case Link::kLogit:
      // Since 3.2 XGBoost takes 0 and 1, too, and draws what is near them to 1e-6
      // from them.
      if (version >= std::vector<int64_t>{3, 2} && score >= 0 && score <= 1) {
        constexpr float kEpsilon = 1e-6F;
        score = std::min(std::max(score, kEpsilon), 1.0F - kEpsilon);
      }
      if (!(score > 0) || !(score < 1)) fail_invalid("\"base_score\" is not between 0 and 1");
      forest.base_margin = -std::log(1.0F / score - 1.0F);
      break;
    case Link::kLog:
      if (!(score > 0) || !std::isfinite(score)) {
        fail_invalid("\"base_score\" is not a finite number above 0");
      }
      forest.base_margin = std::log(score);
      break;
  }
}

}  // namespace fraud
