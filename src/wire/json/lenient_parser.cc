#include "wire/json/lenient_parser.h"

#include <algorithm>
#include <cstring>
#include <random>
#include <string>

#include "wire/json/json_check.h"

namespace flux::wire::json {
namespace {

// Buffers beyond this are given back after the message that needed them.
constexpr std::size_t kKeepBytes = 256 * 1024;
// simdjson counts levels a little differently from `check_json`, which has the word: it says where.
constexpr std::size_t kDepthSlack = 2;

bool lone_surrogate(std::string_view text) {
  for (const char *at = text.data(), *end = at + text.size();;) {
    at = static_cast<const char*>(std::memchr(at, '\\', static_cast<std::size_t>(end - at)));
    if (at == nullptr) return false;
    if (end - at >= 3 && at[1] == 'u' && (at[2] == 'd' || at[2] == 'D')) return true;  // worth the slow check
    at += 2;
    if (at >= end) return false;
  }
}

}  // namespace

LenientParser::LenientParser(std::size_t max_depth) : max_depth_(max_depth) {
  std::random_device random;
  constexpr char kDigits[] = "0123456789abcdef";
  for (char& c : mark_) c = kDigits[random() % 16];
}

Result<Element> LenientParser::parse(std::string_view text) {
  patched_ = false;
  if (text.empty()) return fail(ErrorCode::invalid_argument, "the payload is empty: expected JSON");
  Element root;
  const auto error = load(text).get(root);
  if (!error) [[likely]] {
    // simdjson lets a low surrogate without its high one pass; such text is not Unicode and must not be stored.
    if (!lone_surrogate(text)) return root;
  } else if (error == simdjson::MEMALLOC || error == simdjson::CAPACITY) {
    return fail(ErrorCode::too_large, "the payload is too large to parse");
  }
  std::vector<WideNumber> wide;
  if (const auto fault = check_json(text, max_depth_, &wide)) {
    return fail(ErrorCode::invalid_argument,
                "not JSON at byte offset " + std::to_string(fault->offset) + ": " + fault->message);
  }
  if (!error) return root;
  if (wide.empty())
    return fail(ErrorCode::invalid_argument, std::string("not JSON: ") + simdjson::error_message(error));
  // Grammatical, but with numbers that simdjson does not take. They are written in a way it takes, so that only the
  // values concerned are refused: integers as doubles, others as a text that nobody else can know.
  std::string again;
  std::size_t at = 0;
  for (const WideNumber& number : wide) {
    again.append(text.substr(at, number.offset - at));
    at = number.offset + number.length;
    if (number.integer) again.append(text.substr(number.offset, number.length)).append("e0");
    else again.append(1, '"').append(std::string_view(mark_, sizeof mark_)).append(1, '"');
  }
  again.append(text.substr(at));
  patched_ = true;
  if (const auto second = load(again).get(root))
    return fail(ErrorCode::invalid_argument, std::string("not JSON: ") + simdjson::error_message(second));
  return root;
}

simdjson::simdjson_result<Element> LenientParser::load(std::string_view text) {
  if (buffer_.size() < text.size() + simdjson::SIMDJSON_PADDING)
    buffer_.resize(text.size() + simdjson::SIMDJSON_PADDING + text.size() / 2);
  std::memcpy(buffer_.data(), text.data(), text.size());
  std::memset(buffer_.data() + text.size(), 0, simdjson::SIMDJSON_PADDING);
  if (parser_.capacity() < text.size() || parser_.max_depth() != max_depth_ + kDepthSlack) {
    if (const auto error = parser_.allocate(std::max<std::size_t>(text.size() * 3 / 2, 4096), max_depth_ + kDepthSlack))
      return error;
  }
  return parser_.parse(buffer_.data(), text.size(), false);
}

void LenientParser::release() {
  if (buffer_.size() <= kKeepBytes) return;
  buffer_ = {};
  parser_ = dom::parser();
}

}  // namespace flux::wire::json
