#include "pg/server/pinned_settings.h"

#include <cstring>
#include <exception>

#include "pg/server/boundary.h"

extern "C" {
#include "miscadmin.h"
#include "parser/parse_expr.h"
#include "parser/parser.h"
#include "pgtime.h"
#include "tsearch/ts_cache.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/bytea.h"
#include "utils/float.h"
#include "utils/guc.h"
#include "utils/xml.h"

// As in utils/pg_locale.h, which asks for ICU's headers: what extensions are built with does not bring them everywhere.
extern PGDLLIMPORT char* locale_monetary;
extern PGDLLIMPORT char* locale_numeric;
extern PGDLLIMPORT char* locale_time;
}

namespace fraud::pg {

namespace {

using Setting = const char* const[2];

// How values are written as texts, and how SQL is written and read.
constexpr Setting kFormats[] = {{"DateStyle", "ISO, YMD"},
                                {"IntervalStyle", "postgres"},
                                {"extra_float_digits", "1"},
                                {"bytea_output", "hex"},
                                {"array_nulls", "on"},
                                {"backslash_quote", "safe_encoding"},
                                {"quote_all_identifiers", "off"},
                                {"standard_conforming_strings", "on"},
                                {"transform_null_equals", "off"}};

// And what expressions of people's own may depend on besides.
constexpr Setting kOthers[] = {{"TimeZone", "UTC"},    {"xmlbinary", "base64"}, {"xmloption", "content"},
                               {"lc_monetary", "C"},   {"lc_numeric", "C"},     {"lc_time", "C"},
                               {"timezone_abbreviations", "Default"}, {"default_text_search_config", "pg_catalog.simple"}};

bool is(const char* setting, const char* value) { return setting != nullptr && std::strcmp(setting, value) == 0; }

bool is_c(const char* locale) { return is(locale, "C"); }

// True where they are set so already, as they nearly always are: each payment asks. (What comes first of day and month
// counts where dates are read.)
bool are_formats_pinned() {
  return DateStyle == USE_ISO_DATES && IntervalStyle == INTSTYLE_POSTGRES && extra_float_digits > 0 && bytea_output == BYTEA_OUTPUT_HEX && Array_nulls &&
         backslash_quote == BACKSLASH_QUOTE_SAFE_ENCODING && !quote_all_identifiers && standard_conforming_strings && !Transform_null_equals;
}

bool are_pinned() {
  return are_formats_pinned() && DateOrder == DATEORDER_YMD && session_timezone != nullptr && is(pg_get_timezone_name(session_timezone), "UTC") &&
         xmlbinary == XMLBINARY_BASE64 && xmloption == XMLOPTION_CONTENT && is_c(locale_monetary) && is_c(locale_numeric) && is_c(locale_time) &&
         is(TSCurrentConfig, "pg_catalog.simple") && is(GetConfigOption("timezone_abbreviations", false, false), "Default");
}

template <size_t count>
void pin(const Setting (&settings)[count]) {
  for (const auto& [name, value] : settings) {
    if (is(GetConfigOption(name, false, false), value)) continue;
    (void)set_config_option(name, value, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
  }
}

}  // namespace

void pin_formats() {
  if (!are_formats_pinned()) pin(kFormats);
}

void pin_value_settings() {
  if (are_pinned()) return;
  pin(kFormats);
  pin(kOthers);
}

PinnedSettings::PinnedSettings() : exceptions_(std::uncaught_exceptions()) {
  if (are_pinned()) return;
  protect([this] {
    level_ = NewGUCNestLevel();
    pin_value_settings();
  });
}

PinnedSettings::~PinnedSettings() noexcept {
  // After an error the end of the transaction undoes it.
  if (level_ > 0 && std::uncaught_exceptions() == exceptions_) AtEOXact_GUC(false, level_);
}

}  // namespace fraud::pg
