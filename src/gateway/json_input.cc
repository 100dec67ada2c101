#include "gateway/json_input.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "gateway/parse_json.h"
#include "gateway/unknown_name.h"

namespace flux::gateway {

using nlohmann::json;

// A Node is a json seen through a type that the header may name.
struct JsonObject::Node : json {
  using json::json;
  explicit Node(json value) : json(std::move(value)) {}
};

namespace {

const json* find(const json& object, std::string_view name) {
  const auto at = object.find(name);
  return at == object.end() || at->is_null() ? nullptr : &*at;
}

}  // namespace

JsonObject::JsonObject(std::shared_ptr<const Node> root, const Node* node, std::string path)
    : root_(std::move(root)), node_(node), path_(std::move(path)) {}

Result<JsonObject> JsonObject::parse(std::string_view text, bool empty_allowed) {
  json value = json::object();
  if (!text.empty() || !empty_allowed) {
    TRY(value, parse_json(text));
  }
  if (!value.is_object()) return fail(ErrorCode::invalid_argument, "the body must be a JSON object");
  auto root = std::make_shared<const Node>(std::move(value));
  return JsonObject(root, root.get(), {});
}

std::string JsonObject::path_of(std::string_view name) const {
  std::string path = path_;
  if (!path.empty() && !name.empty()) path += '.';
  return path.append(name);
}

std::unexpected<Error> JsonObject::expected(std::string_view name, std::string_view what) const {
  return fail(ErrorCode::invalid_argument, "expected " + std::string(what), path_of(name));
}

Result<> JsonObject::only(std::initializer_list<std::string_view> known) const {
  for (const auto& [name, value] : node_->items()) {
    if (std::ranges::find(known, name) != known.end()) continue;
    return unknown_name("field", name, known, path_of(name));
  }
  return {};
}

bool JsonObject::has(std::string_view name) const { return node_->contains(name); }
bool JsonObject::is_null(std::string_view name) const { return has(name) && find(*node_, name) == nullptr; }

std::vector<std::string> JsonObject::names() const {
  std::vector<std::string> names;
  for (const auto& [name, value] : node_->items()) names.push_back(name);
  return names;
}

Result<std::optional<std::string>> JsonObject::text(std::string_view name) const {
  const json* value = find(*node_, name);
  if (value == nullptr) return std::nullopt;
  if (!value->is_string()) return expected(name, "a string");
  return value->get<std::string>();
}

Result<std::string> JsonObject::required_text(std::string_view name) const {
  TRY(auto value, text(name));
  if (!value) return expected(name, "a string: it is missing");
  return *std::move(value);
}

Result<std::optional<bool>> JsonObject::boolean(std::string_view name) const {
  const json* value = find(*node_, name);
  if (value == nullptr) return std::nullopt;
  if (!value->is_boolean()) return expected(name, "true or false");
  return value->get<bool>();
}

Result<std::optional<double>> JsonObject::number(std::string_view name) const {
  const json* value = find(*node_, name);
  if (value == nullptr) return std::nullopt;
  if (!value->is_number()) return expected(name, "a number");
  return value->get<double>();
}

Result<std::optional<std::uint64_t>> JsonObject::whole(std::string_view name) const {
  const json* value = find(*node_, name);
  if (value == nullptr) return std::nullopt;
  if (!value->is_number_unsigned()) return expected(name, "a whole number, 0 or more");
  return value->get<std::uint64_t>();
}

Result<std::optional<Duration>> JsonObject::duration(std::string_view name) const {
  TRY(const auto written, text(name));
  if (!written) return std::nullopt;
  auto parsed = parse_duration(*written);
  if (!parsed) return fail(ErrorCode::invalid_argument, parsed.error().message, path_of(name));
  return *parsed;
}

Result<std::optional<Time>> JsonObject::time(std::string_view name) const {
  TRY(const auto written, text(name));
  if (!written) return std::nullopt;
  auto parsed = parse_rfc3339(*written);
  if (!parsed) return fail(ErrorCode::invalid_argument, parsed.error().message, path_of(name));
  return *parsed;
}

Result<std::optional<JsonObject>> JsonObject::object(std::string_view name) const {
  const json* value = find(*node_, name);
  if (value == nullptr) return std::nullopt;
  if (!value->is_object()) return expected(name, "an object");
  auto copy = std::make_shared<const Node>(json(*value));
  return JsonObject(copy, copy.get(), path_of(name));
}

Result<std::vector<JsonObject>> JsonObject::objects(std::string_view name) const {
  std::vector<JsonObject> out;
  const json* value = find(*node_, name);
  if (value == nullptr) return out;
  if (!value->is_array()) return expected(name, "an array of objects");
  for (const json& item : *value) {
    const std::string path = path_of(name) + "[" + std::to_string(out.size()) + "]";
    if (!item.is_object()) return fail(ErrorCode::invalid_argument, "expected an object", path);
    auto copy = std::make_shared<const Node>(json(item));
    out.push_back(JsonObject(copy, copy.get(), path));
  }
  return out;
}

Result<std::vector<std::string>> JsonObject::texts(std::string_view name) const {
  std::vector<std::string> out;
  const json* value = find(*node_, name);
  if (value == nullptr) return out;
  if (!value->is_array()) return expected(name, "an array of strings");
  for (const json& item : *value) {
    if (!item.is_string()) return expected(name, "an array of strings");
    out.push_back(item.get<std::string>());
  }
  return out;
}

std::string JsonObject::dump(std::string_view name) const {
  if (name.empty()) return node_->dump();
  const json* value = find(*node_, name);
  return value == nullptr ? std::string() : value->dump();
}

}  // namespace flux::gateway
