#include "worker/ingest/asker.h"

#include "core/requests/pace.h"

#include <algorithm>

#include "core/base/error.h"

extern "C" {
#include "utils/timestamp.h"
}

namespace fraud::worker {

namespace {

// The transfer that asks for a source's token. No source has such a name.
std::string token_key(const std::string& name) { return name + '\n'; }

bool needs_token(const Source& source) { return source.request != nullptr && source.request->auth.kind == AuthKind::kClientCredentials; }

}  // namespace

void Asker::put(const std::string& name, Page&& page) {
  const int limit = page.source.request ? page.source.request->rate_limit : 0;
  const auto last = last_asked_.find(name);
  page.due = page_due(GetCurrentTimestamp(), last == last_asked_.end() ? 0 : last->second, limit);
  pages_[name] = std::move(page);
}

void Asker::put_again(const std::string& name, Page&& page) {
  // It was taken back, or its time is another than it said.
  tokens_.erase(name);
  page.is_renewed = true;
  put(name, std::move(page));
}

void Asker::cancel(const std::string& name) {
  http_.cancel(name);
  http_.cancel(token_key(name));
  asked_.erase(name);
  pages_.erase(name);
}

void Asker::forget(const std::string& name) {
  tokens_.erase(name);
  last_asked_.erase(name);
}

std::optional<Unasked> Asker::ask() {
  const TimestampTz now = GetCurrentTimestamp();
  for (auto next = pages_.begin(); next != pages_.end();) {
    const auto here = next++;
    Page& page = here->second;
    if (page.due > now || page.is_due_for_token) continue;
    const std::string name = here->first;
    if (!page.source.request_fault.empty()) {
      Unasked unasked{name, {}, "the request cannot be used: " + page.source.request_fault};
      pages_.erase(here);
      return unasked;
    }
    const bool with_token = needs_token(page.source);
    if (with_token && !has_token(name, page.source, now)) {
      page.is_due_for_token = true;
      http_.start(token_key(name), token_request(page.source));
      continue;
    }
    if (page.source.request != nullptr && page.source.request->rate_limit > 0) last_asked_[name] = now;
    const HttpRequest request = page_request(page, with_token ? tokens_[name].value : "");
    asked_.insert_or_assign(name, std::move(page));
    pages_.erase(here);
    http_.start(name, request);
  }
  return std::nullopt;
}

bool Asker::has_token(const std::string& name, const Source& source, TimestampTz now) const {
  const auto token = tokens_.find(name);
  return token != tokens_.end() && token->second.asks == source.asks && token->second.renew_at > now;
}

std::vector<Arrival> Asker::work() {
  std::vector<Arrival> arrivals;
  for (auto& [name, response] : http_.work()) {
    if (name.back() == '\n') {
      tokens_come_.emplace_back(name.substr(0, name.size() - 1), std::move(response));
      continue;
    }
    arrivals.push_back({name, std::move(asked_[name]), std::move(response)});
    asked_.erase(name);
  }
  return arrivals;
}

std::optional<Unasked> Asker::take_tokens() {
  while (!tokens_come_.empty()) {
    auto [name, response] = std::move(tokens_come_.front());
    tokens_come_.pop_front();
    const auto page = pages_.find(name);
    if (page == pages_.end()) continue;
    const std::string fault = take_token(name, response, page->second.source);
    if (fault.empty()) {
      page->second.is_due_for_token = false;
      continue;
    }
    pages_.erase(page);
    return Unasked{name, std::move(response), "could not get an access token: " + fault};
  }
  return std::nullopt;
}

// Takes the token that an answer has; returns why there is none, or an empty text.
std::string Asker::take_token(const std::string& name, const Response& response, const Source& source) {
  if (!response.error.empty()) return response.error;
  if (response.status != 200) {
    const std::string said = token_error(response.body);
    return "HTTP status " + std::to_string(response.status) + ", expected 200" + (said.empty() ? "" : " (" + said + ")");
  }
  try {
    const AccessToken token = read_access_token(response.body);
    tokens_[name] = {token.token, source.asks, GetCurrentTimestamp() + token_use_us(token.lifetime_s)};
    return "";
  } catch (const Error& fault) {
    return fault.what();
  }
}

bool Asker::is_asked(const std::string& name) const {
  return http_.busy(name) || http_.busy(token_key(name)) || pages_.count(name) != 0;
}

TimestampTz Asker::next_due() const {
  TimestampTz due = DT_NOEND;
  for (const auto& [name, page] : pages_) {
    if (!page.is_due_for_token) due = std::min(due, page.due);
  }
  return due;
}

}  // namespace fraud::worker
