// Asks sources for their pages: each when its source's rate limit lets it, with the access token that it
// needs. Knows nothing of payments, and nothing of tables.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "worker/ingest/sources.h"
#include "worker/network/network_client.h"

namespace fraud::worker {

// An answer that has come, with what was asked.
struct Arrival {
  std::string name;  // of the source
  Page page;
  Response response;
};

// A page that cannot be asked for, and is not any more.
struct Unasked {
  std::string name;
  Response response;  // to the request of a token
  std::string fault;
};

class Asker {
 public:
  // Has a page asked for as soon as it may be.
  void put(const std::string& name, Page&& page);
  // The same of one that was asked for and whose token was refused: with another.
  void put_again(const std::string& name, Page&& page);
  // Gives up what is asked, or to be, of a source.
  void cancel(const std::string& name);
  // And what is known of it: it is gone.
  void forget(const std::string& name);

  // Asks for the pages that are due, or for the tokens that they need, up to one that cannot be asked
  // for. That is to be noted, and this called again.
  std::optional<Unasked> ask();
  // Lets transfers go on, and returns the answers that have come.
  std::vector<Arrival> work();
  // Takes the tokens that have come, up to one that is none, as ask() does.
  std::optional<Unasked> take_tokens();

  // True while a page of the source waits to be asked for, or is.
  bool is_asked(const std::string& name) const;
  // An answer may come.
  bool is_waiting() const { return !asked_.empty(); }
  // When there is a page to ask for, or DT_NOEND.
  TimestampTz next_due() const;
  // What to wait for, as NetworkClient says.
  int descriptor() const { return http_.descriptor(); }
  std::optional<long> timeout_ms() const { return http_.timeout_ms(); }

 private:
  // An access token: here alone, never at rest.
  struct Token {
    std::string value;
    std::string asks;  // of the source that it is for
    TimestampTz renew_at = 0;
  };

  // Whether there is one by which this source may be asked now.
  bool has_token(const std::string& name, const Source& source, TimestampTz now) const;
  std::string take_token(const std::string& name, const Response& response, const Source& source);

  NetworkClient http_;
  std::map<std::string, Page> pages_;  // that are to be asked for
  std::map<std::string, Page> asked_;  // whose request is under way
  std::map<std::string, Token> tokens_;
  std::deque<std::pair<std::string, Response>> tokens_come_;
  std::map<std::string, TimestampTz> last_asked_;  // of the sources with a rate limit
};

}  // namespace fraud::worker
