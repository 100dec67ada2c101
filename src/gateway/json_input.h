#pragma once

#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"
#include "core/time.h"
#include "core/value.h"

namespace flux::gateway {

/// A JSON object of a request, read field by field with errors that name the field. Absent and null both read as
/// nothing; `has` tells them apart where it matters (merge patches).
class JsonObject {
 public:
  /// `invalid_argument` names the byte where the text stops being JSON. An empty body is an empty object where
  /// `empty_allowed`.
  static Result<JsonObject> parse(std::string_view text, bool empty_allowed = false);

  /// Refuses any field that is not among `known`; call it first.
  Result<> only(std::initializer_list<std::string_view> known) const;

  [[nodiscard]] bool has(std::string_view name) const;
  [[nodiscard]] bool is_null(std::string_view name) const;
  [[nodiscard]] std::vector<std::string> names() const;

  Result<std::optional<std::string>> text(std::string_view name) const;
  Result<std::string> required_text(std::string_view name) const;
  Result<std::optional<bool>> boolean(std::string_view name) const;
  Result<std::optional<double>> number(std::string_view name) const;
  Result<std::optional<std::uint64_t>> whole(std::string_view name) const;
  Result<std::optional<Duration>> duration(std::string_view name) const;
  Result<std::optional<Time>> time(std::string_view name) const;
  Result<std::optional<JsonObject>> object(std::string_view name) const;
  Result<std::vector<JsonObject>> objects(std::string_view name) const;
  Result<std::vector<std::string>> texts(std::string_view name) const;

  /// The field (or the whole object, for an empty name) as JSON again; empty when absent.
  [[nodiscard]] std::string dump(std::string_view name = {}) const;
  /// Where this object lies in the request: `metrics[2]`, empty for the body itself.
  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] std::string path_of(std::string_view name) const;

 private:
  struct Node;
  JsonObject(std::shared_ptr<const Node> root, const Node* node, std::string path);
  [[nodiscard]] std::unexpected<Error> expected(std::string_view name, std::string_view what) const;

  std::shared_ptr<const Node> root_;
  const Node* node_;
  std::string path_;
};

}  // namespace flux::gateway
