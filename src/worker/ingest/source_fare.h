// How a source fares: what changes is said once in the server's log, and a poll that failed is noted, with
// when it is tried again.
#pragma once

#include <string>

#include "worker/ingest/sources.h"

namespace fraud::worker {

// A poll failed. `page` is what was asked for, where it is the answer's status that says so.
void note_failed(const std::string& name, Source& source, const Response& response, const std::string& fault, const Page* page);

// Its end is noted already; that it succeeded is said where ones before it failed.
void tell_succeeded(const std::string& name, Source& source);

// It is not polled for its payments that wait, or is again.
void tell_behind(const std::string& name, Source& source, bool behind);

}  // namespace fraud::worker
