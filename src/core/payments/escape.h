// Hostile text, made harmless for where it goes.
#pragma once

#include "core/base/guard.h"

#include <string>
#include <string_view>

namespace fraud {

// For HTML, in content and in quoted attributes.
std::string escape_html(std::string_view text);

// For chat tools whose markup has & < and > only (Slack's rule).
std::string escape_markup(std::string_view text);

// For chat tools that read Markdown (Mattermost, Teams, Discord): nothing of the text is
// emphasis, code, a link, a heading, a list, a table or a mention, nor one of Slack's
// <commands>.
std::string escape_markdown(std::string_view text);

}  // namespace fraud
