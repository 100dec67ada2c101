#include "gateway/documented.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "gateway/openapi.h"
#include "gateway/unknown_name.h"

namespace flux::gateway {
namespace {

using nlohmann::json;
using Names = std::vector<std::string>;

struct Parameters {
  Names known;
  Names lists;  ///< those of them that may be repeated
};
/// By pattern and method in lower case.
using Operations = std::map<std::pair<std::string, std::string>, Parameters, std::less<>>;

bool holds(const Names& names, std::string_view name) { return std::ranges::find(names, name) != names.end(); }

void add_names(const json& document, const json& item, Parameters& parameters) {
  const auto listed = item.find("parameters");
  if (listed == item.end()) return;
  for (const json& one : *listed) {
    const auto ref = one.find("$ref");
    const json& parameter = ref == one.end() ? one : document.at(json::json_pointer(ref->get<std::string>().substr(1)));
    if (parameter.at("in") != "query") continue;
    parameters.known.push_back(parameter.at("name"));
    if (parameter.at("schema").value("type", json()) == "array") parameters.lists.push_back(parameter.at("name"));
  }
}

Operations read_document() {
  const json document = json::parse(*openapi_document().identity);
  Operations operations;
  for (const auto& [path, item] : document.at("paths").items()) {
    for (const auto& [method, operation] : item.items()) {
      if (!operation.is_object() || !operation.contains("responses")) continue;
      Parameters& parameters = operations[{path, method}];
      add_names(document, item, parameters);
      add_names(document, operation, parameters);
    }
  }
  return operations;
}

const Parameters* parameters_of(const net::RouteInfo& route) {
  static const Operations operations = read_document();
  std::string method(net::to_string(route.method));
  std::ranges::transform(method, method.begin(), [](char c) { return static_cast<char>(c | 0x20); });
  const auto found = operations.find(std::pair(route.pattern, method));
  return found == operations.end() ? nullptr : &found->second;
}

}  // namespace

net::Middleware documented_parameters() {
  return [](net::HttpRequest& request) {
    if (request.raw_query().empty()) return net::Verdict::proceed();
    const Parameters* const known = parameters_of(request.route());
    CHECK_MSG(known != nullptr, "contracts/openapi.json lacks " + request.route().pattern);
    Names seen;
    for (const auto& [name, value] : request.query_params()) {
      if (!holds(known->known, name))
        return net::Verdict::answer(
            net::HttpResponse::error(unknown_name("parameter", name, known->known, name).error()));
      if (holds(seen, name) && !holds(known->lists, name))
        return net::Verdict::answer(
            net::HttpResponse::error(Error{ErrorCode::invalid_argument, "given twice: expected it once", name}));
      seen.push_back(name);
    }
    return net::Verdict::proceed();
  };
}

}  // namespace flux::gateway
