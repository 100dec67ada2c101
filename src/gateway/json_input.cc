#include "gateway/json_input.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace flux::gateway {

using nlohmann::json;

// A Node is a json seen through a type that the header may name.
struct JsonObject::Node : json {
  using json::json;
  explicit Node(json value) : json(std::move(value)) {}
};

namespace {

// Documents are copied and written by recursion.
constexpr std::size_t kNesting = 100;

/// How deep arrays and objects lie within each other: asked before text goes to a parser whose documents are copied and
/// written by recursion. The text need not be JSON.
std::size_t nesting(std::string_view text) {
  std::size_t depth = 0;
  std::size_t deepest = 0;
  bool in_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      else if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{') {
      deepest = std::max(deepest, ++depth);
    } else if ((c == ']' || c == '}') && depth > 0) {
      --depth;
    }
  }
  return deepest;
}

const json* find(const json& object, std::string_view name) {
  const auto at = object.find(name);
  return at == object.end() || at->is_null() ? nullptr : &*at;
}

}  // namespace

JsonObject::JsonObject(std::shared_ptr<const Node> root, const Node* node, std::string path)
    : root_(std::move(root)), node_(node), path_(std::move(path)) {}

Result<JsonObject> JsonObject::parse(std::string_view text, bool empty_allowed) {
  json value = json::object();
  if (nesting(text) > kNesting)
    return fail(ErrorCode::invalid_argument,
                "the body nests arrays and objects deeper than " + std::to_string(kNesting) + " levels");
  if (!text.empty() || !empty_allowed) {
    try {
      value = json::parse(text);
    } catch (const json::parse_error& error) {
      return fail(ErrorCode::invalid_argument, "the body is not JSON: error at byte " + std::to_string(error.byte));
    }
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
    std::string list;
    for (const std::string_view one : known) list.append(list.empty() ? "" : ", ").append(one);
    return fail(ErrorCode::invalid_argument, "unknown field: expected " + (list.empty() ? "none" : list),
                path_of(name));
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
