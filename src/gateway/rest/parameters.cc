#include "gateway/rest/parameters.h"

#include <charconv>

namespace flux::gateway {

Result<registry::Page> page_of(const net::HttpRequest& request, std::size_t fallback, std::size_t max) {
  registry::Page page{.cursor = request.query("cursor").value_or(""), .limit = fallback};
  if (const auto limit = request.query("limit")) {
    const char* end = limit->data() + limit->size();
    const auto read = std::from_chars(limit->data(), end, page.limit);
    if (read.ec != std::errc() || read.ptr != end || page.limit == 0 || page.limit > max)
      return fail(ErrorCode::invalid_argument, "expected a number from 1 to " + std::to_string(max), "limit");
  }
  return page;
}

Result<Epoch> epoch_of(const net::HttpRequest& request) {
  const auto epoch = request.query("epoch");
  return epoch ? parse_epoch(*epoch) : Epoch::rfc3339;
}

std::vector<std::string> list_of(const net::HttpRequest& request, std::string_view name) {
  std::vector<std::string> out;
  for (const std::string& value : request.query_all(name)) {
    std::string_view rest = value;
    while (!rest.empty()) {
      const std::size_t comma = rest.find(',');
      if (comma != 0) out.emplace_back(rest.substr(0, comma));
      rest.remove_prefix(comma == std::string_view::npos ? rest.size() : comma + 1);
    }
  }
  return out;
}

}  // namespace flux::gateway
