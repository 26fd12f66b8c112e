#include "core/payments/escape.h"

namespace fraud {

std::string escape_html(std::string_view text) {
  std::string escaped;
  for (char c : text) {
    switch (c) {
      case '&': escaped += "&amp;"; break;
      case '<': escaped += "&lt;"; break;
      case '>': escaped += "&gt;"; break;
      case '"': escaped += "&quot;"; break;
      case '\'': escaped += "&#39;"; break;
      default: escaped += c;
    }
  }
  return escaped;
}

std::string escape_markup(std::string_view text) {
  std::string escaped;
  for (char c : text) {
    if (c == '&') escaped += "&amp;";
    else if (c == '<') escaped += "&lt;";
    else if (c == '>') escaped += "&gt;";
    else escaped += c;
  }
  return escaped;
}

std::string escape_markdown(std::string_view text) {
  constexpr std::string_view kAlways = "\\`*_~|[]";
  constexpr std::string_view kAtLineStart = "#+-=";
  std::string escaped;
  bool line_start = true;   // but for blanks
  bool line_number = false;  // digits alone since then
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const bool digit = c >= '0' && c <= '9';
    const std::string_view before = text.substr(i < 3 ? 0 : i - 3, i < 3 ? i : 3);
    bool marks = kAlways.find(c) != std::string_view::npos ||
                 (line_start && kAtLineStart.find(c) != std::string_view::npos) ||
                 (line_number && (c == '.' || c == ')')) ||
                 // What would become a link by itself.
                 (c == ':' && text.substr(i + 1, 2) == "//") ||
                 (c == '.' && (before == "www" || before == "WWW" || before == "Www"));
    if (marks) escaped += '\\';
    if (c == '&' || c == '<' || c == '>') {
      escaped += escape_markup(text.substr(i, 1));
    } else {
      escaped += c;
    }
    // No escape keeps @everyone from calling everyone; a space without width does.
    if (c == '@') escaped += "\u200b";
    line_number = digit && (line_start || line_number);
    line_start = c == '\n' || c == '\r' || (line_start && (c == ' ' || c == '\t'));
  }
  return escaped;
}

}  // namespace fraud
