#include "wire/json/refusals.h"

namespace flux::wire::json {

void Refusals::add(const Place& place, std::string_view field, std::string message, ErrorCode code) {
  if (count()) outcome_->refusals.push_back({place.index, {code, std::move(message), place.path(field)}});
}

void Refusals::add(const Place& place, Error error) {
  if (!count()) return;
  error.field = place.path(error.field);
  outcome_->refusals.push_back({place.index, std::move(error)});
}

void Refusals::add_value(const Place& place, std::string_view under, std::string_view name, Error error) {
  if (!count()) return;
  error.field = place.path(under, name);
  outcome_->refusals.push_back({place.index, std::move(error)});
}

bool Refusals::count() {
  ++outcome_->refused;
  return outcome_->refusals.size() < most_;
}

std::string shortened(std::string_view text, std::size_t limit) {
  if (text.size() <= limit) return std::string(text);
  while (limit > 0 && (static_cast<unsigned char>(text[limit]) & 0xC0) == 0x80) --limit;
  return std::string(text.substr(0, limit)) + "…";
}

}  // namespace flux::wire::json
