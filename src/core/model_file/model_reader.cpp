// Reads XGBoost's model files: tells the formats apart and has a parser tell the
// handler what is in one.
#include "core/model_file/model_reader.h"

#include <nlohmann/json.hpp>
#include <string>

#include "core/base/error.h"
#include "core/model_file/model_faults.h"
#include "core/model_file/model_handler.h"
#include "core/model_file/model_json.h"

namespace fraud {
namespace {

using Json = nlohmann::json;

enum class Format { kJson, kUbjson, kNeither };

// Tells the formats apart: in UBJSON the byte after the first brace begins a
// key's length or the object's, in JSON it is a quote or white space.
Format detect_format(std::string_view bytes) {
  constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
  if (bytes.size() >= 2 && bytes[0] == '{' &&
      std::string_view("iUIlL#$N").find(bytes[1]) != std::string_view::npos) {
    return Format::kUbjson;
  }
  if (bytes.substr(0, kByteOrderMark.size()) == kByteOrderMark) {
    bytes.remove_prefix(kByteOrderMark.size());
  }
  const size_t first = bytes.find_first_not_of(" \t\r\n");
  return first != std::string_view::npos && bytes[first] == '{' ? Format::kJson : Format::kNeither;
}

[[noreturn]] void fail_unreadable(const char* format, size_t position) {
  throw Error(ErrorCode::kInvalidJson,
              std::string("invalid ") + format + " at byte " + std::to_string(position), {},
              "The file was cut, edited or damaged: save the model anew with XGBoost's save_model.");
}

Forest read_json(std::string_view bytes) {
  constexpr const char* kName = "JSON";
  ModelHandler handler(bytes.size(), kName);
  ModelJson json(bytes);
  bool complete = false;
  try {
    complete = Json::sax_parse(json.begin(), json.end(), &handler, Json::input_format_t::json);
  } catch (const Json::exception&) {
    // Left incomplete: the parser's text may quote the input.
  }
  if (!complete) fail_unreadable(kName, json.position(handler.error_position().value_or(0)));
  return handler.finish();
}

Forest read_ubjson(std::string_view bytes) {
  constexpr const char* kName = "UBJSON";
  ModelHandler handler(bytes.size(), kName);
  bool complete = false;
  try {
    complete = Json::sax_parse(bytes.begin(), bytes.end(), &handler, Json::input_format_t::ubjson);
  } catch (const Json::exception&) {
  }
  if (!complete) fail_unreadable(kName, handler.error_position().value_or(0));
  return handler.finish();
}

}  // namespace

Forest read_model(std::string_view bytes) {
  if (bytes.size() > kMaxModelBytes) {
    fail_limit("the model has " + std::to_string(bytes.size()) + " bytes, more than " +
               std::to_string(kMaxModelBytes));
  }
  switch (detect_format(bytes)) {
    case Format::kJson:
      return read_json(bytes);
    case Format::kUbjson:
      return read_ubjson(bytes);
    default:
      throw Error(ErrorCode::kInvalidJson, "the model is neither JSON nor UBJSON", {},
                  "Save it with XGBoost's save_model to a file named .json or .ubj; pickles and "
                  "XGBoost's old binary format are not read.");
  }
}

}  // namespace fraud
