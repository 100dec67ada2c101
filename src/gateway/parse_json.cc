#include "gateway/parse_json.h"

#include <nlohmann/json.hpp>
#include <optional>
#include <string>

namespace flux::gateway {
namespace {

using nlohmann::json;

/// Where the text begins to nest deeper than allowed. It need not be JSON.
std::optional<std::size_t> too_deep(std::string_view text) {
  std::size_t depth = 0;
  bool in_string = false;
  for (std::size_t at = 0; at < text.size(); ++at) {
    const char letter = text[at];
    if (in_string) {
      if (letter == '\\') ++at;
      else if (letter == '"') in_string = false;
    } else if (letter == '"') {
      in_string = true;
    } else if (letter == '[' || letter == '{') {
      if (++depth > kJsonNesting) return at;
    } else if ((letter == ']' || letter == '}') && depth > 0) {
      --depth;
    }
  }
  return std::nullopt;
}

}  // namespace

Result<json> parse_json(std::string_view text) {
  if (const auto at = too_deep(text))
    return fail(ErrorCode::invalid_argument, "the JSON nests deeper than " + std::to_string(kJsonNesting) +
                                                 " levels at byte " + std::to_string(*at + 1));
  try {
    return json::parse(text);
  } catch (const json::parse_error& error) {
    return fail(ErrorCode::invalid_argument, "the body is not JSON: error at byte " + std::to_string(error.byte));
  } catch (const json::out_of_range& error) {
    // "[json.exception.out_of_range.406] number overflow parsing '1e999'": the number is what the sender looks for.
    const std::string_view what = error.what();
    const std::size_t quote = what.find('\'');
    const std::string_view number = quote == std::string_view::npos ? "" : what.substr(quote, 40);
    return fail(ErrorCode::invalid_argument, "a number is too large for a double: " + std::string(number));
  } catch (const std::exception& error) {
    return fail(ErrorCode::invalid_argument, std::string("the body cannot be read as JSON: ") + error.what());
  }
}

}  // namespace flux::gateway
