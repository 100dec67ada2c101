#pragma once

#include <concepts>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <initializer_list>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "config/bytes.h"
#include "core/result.h"
#include "core/time.h"

namespace flux::config {

/// The smallest and greatest value that a setting takes; `{.min = 1, .max = 65535}`. An absent side is open.
template <class T>
struct Limits {
  std::optional<T> min;
  std::optional<T> max;
};

/// One word of an enumerated setting and what it stands for: `{"always", Fsync::always}`.
template <class Enum>
struct Choice {
  std::string_view name;
  Enum value;
};

/// How a setting is spelled in YAML, in the environment and on the command line.
/// The text of a list is its items between commas. Each returns what was expected when the text does not fit.
Result<> parse_setting(std::string_view text, bool& out);
Result<> parse_setting(std::string_view text, std::int64_t& out);
Result<> parse_setting(std::string_view text, std::uint64_t& out);
Result<> parse_setting(std::string_view text, double& out);
Result<> parse_setting(std::string_view text, std::string& out);
Result<> parse_setting(std::string_view text, std::filesystem::path& out);
Result<> parse_setting(std::string_view text, Bytes& out);
Result<> parse_setting(std::string_view text, Duration& out);
Result<> parse_setting(std::string_view text, std::vector<std::string>& out);

std::string print_setting(bool value);
std::string print_setting(std::int64_t value);
std::string print_setting(std::uint64_t value);
std::string print_setting(double value);
std::string print_setting(const std::string& value);
std::string print_setting(const std::filesystem::path& value);
std::string print_setting(Bytes value);
std::string print_setting(Duration value);

template <class T>
concept PlainInteger = std::integral<T> && !std::same_as<T, bool> && !std::same_as<T, char>;

template <class T>
concept Setting = std::same_as<T, bool> || PlainInteger<T> || std::same_as<T, double> || std::same_as<T, std::string> ||
                  std::same_as<T, std::filesystem::path> || std::same_as<T, Bytes> || std::same_as<T, Duration> ||
                  std::same_as<T, std::vector<std::string>>;

/// One setting, bound to the member of a `Config` that holds its value. The member must outlive it.
struct Field {
  std::string key;     ///< `bus.segment_bytes`
  std::string doc;     ///< one or more sentences
  std::string type;    ///< what the reference page calls it: `bytes`, `one of always, interval, off`
  std::string limits;  ///< `1 to 65535`, empty where any value will do
  bool secret = false;
  bool list = false;  ///< YAML gives it a sequence

  std::string default_text;        ///< as printed before any source was read
  std::string source = "default";  ///< where the value in force came from: `fluxgate.yaml:12`
  int rank = 0;                    ///< of that source; a lower one never overwrites it

  std::function<Result<>(std::string_view text)> parse;
  std::function<Result<>(const std::vector<std::string>& items)> assign;  ///< lists only
  std::function<std::string()> print;                                     ///< scalars only
  std::function<std::vector<std::string>()> items;                        ///< lists only

  /// The value as `parse` reads it; a list's items between commas.
  [[nodiscard]] std::string text() const;
};

/// What `Config::describe` is called with: names every field once.
///
///     template <class Fields> void describe(Fields& fields) {
///       fields("segment_bytes", segment_bytes, "Size at which a segment is sealed.", {.min = 1_MiB});
///       fields("fsync", fsync, "When a batch counts as durable.", {{"always", Fsync::always}, {"off", Fsync::off}});
///       fields.secret("password", password, "Of the database user.");
///       fields.group("tls", tls);  // another Config, as bus.tls.*
///     }
class Fields {
 public:
  Fields(std::string prefix, std::vector<Field>& out) : prefix_(std::move(prefix)), out_(out) {}

  template <Setting T>
  void operator()(std::string_view name, T& value, std::string_view doc,
                  const Limits<std::type_identity_t<T>>& limits = {}) {
    Field field = begin(name, doc);
    bind(field, value, limits);
    out_.push_back(std::move(field));
  }

  template <class Enum>
    requires std::is_enum_v<Enum>
  void operator()(std::string_view name, Enum& value, std::string_view doc,
                  std::initializer_list<Choice<std::type_identity_t<Enum>>> choices) {
    Field field = begin(name, doc);
    std::vector<std::pair<std::string, Enum>> words;
    std::vector<std::string> names;
    for (const auto& choice : choices) {
      words.emplace_back(choice.name, choice.value);
      names.emplace_back(choice.name);
    }
    field.type = describe_choices(names);
    field.parse = [&value, words](std::string_view text) -> Result<> {
      for (const auto& [word, meaning] : words) {
        if (word == text) {
          value = meaning;
          return {};
        }
      }
      std::vector<std::string> known;
      for (const auto& entry : words) known.push_back(entry.first);
      return fail(ErrorCode::invalid_argument, "expected " + describe_choices(known));
    };
    field.print = [&value, words]() -> std::string {
      for (const auto& [word, meaning] : words) {
        if (meaning == value) return word;
      }
      return std::to_string(static_cast<std::int64_t>(value));
    };
    out_.push_back(std::move(field));
  }

  /// A text that is masked wherever settings are shown.
  void secret(std::string_view name, std::string& value, std::string_view doc);

  /// The fields of another Config, below `name`.
  template <class Config>
  void group(std::string_view name, Config& config) {
    Fields fields(prefix_ + "." + std::string(name), out_);
    config.describe(fields);
  }

 private:
  Field begin(std::string_view name, std::string_view doc) const;
  static std::string describe_choices(const std::vector<std::string>& names);
  static std::string describe_limits(const std::string& min, const std::string& max);

  template <Setting T>
  static const char* type_name() {
    if constexpr (std::same_as<T, bool>) return "bool";
    else if constexpr (std::same_as<T, double>) return "number";
    else if constexpr (std::same_as<T, std::string>) return "text";
    else if constexpr (std::same_as<T, std::filesystem::path>) return "path";
    else if constexpr (std::same_as<T, Bytes>) return "bytes";
    else if constexpr (std::same_as<T, Duration>) return "duration";
    else if constexpr (std::same_as<T, std::vector<std::string>>) return "list of text";
    else return "integer";
  }

  template <Setting T>
  static Result<T> parse_within(std::string_view text, const Limits<T>& limits, const std::string& range) {
    T parsed{};
    bool fits = true;
    if constexpr (PlainInteger<T>) {
      using Wide = std::conditional_t<std::is_signed_v<T>, std::int64_t, std::uint64_t>;
      Wide wide = 0;
      DO(parse_setting(text, wide));
      fits = std::in_range<T>(wide);
      parsed = static_cast<T>(wide);
    } else {
      DO(parse_setting(text, parsed));
    }
    if ((limits.min && parsed < *limits.min) || (limits.max && parsed > *limits.max)) fits = false;
    if (!fits) return fail(ErrorCode::invalid_argument, "expected " + std::string(type_name<T>()) + " " + range);
    return parsed;
  }

  template <Setting T>
  static std::string print_limit(const std::optional<T>& limit) {
    if (!limit) return {};
    if constexpr (PlainInteger<T>) return std::to_string(*limit);
    else return print_setting(*limit);
  }

  /// The type itself is a limit worth naming where it is a narrow one.
  template <Setting T>
  static Limits<T> within_type(const Limits<T>& limits) {
    if constexpr (PlainInteger<T> && sizeof(T) < 8) {
      return {limits.min.value_or(std::numeric_limits<T>::min()), limits.max.value_or(std::numeric_limits<T>::max())};
    } else {
      return limits;
    }
  }

  template <Setting T>
  void bind(Field& field, T& value, const Limits<T>& limits) {
    field.type = type_name<T>();
    if constexpr (std::same_as<T, std::vector<std::string>>) {
      field.list = true;
      field.parse = [&value](std::string_view text) { return parse_setting(text, value); };
      field.assign = [&value](const std::vector<std::string>& items) -> Result<> {
        value = items;
        return {};
      };
      field.items = [&value] { return value; };
    } else {
      const Limits<T> bounds = within_type(limits);
      const std::string range = describe_limits(print_limit(bounds.min), print_limit(bounds.max));
      field.limits = describe_limits(print_limit(limits.min), print_limit(limits.max));
      field.parse = [&value, bounds, range](std::string_view text) -> Result<> {
        TRY(value, parse_within<T>(text, bounds, range));
        return {};
      };
      if constexpr (PlainInteger<T>) {
        field.print = [&value] { return std::to_string(value); };
      } else {
        field.print = [&value] { return print_setting(value); };
      }
    }
  }

  std::string prefix_;
  std::vector<Field>& out_;
};

}  // namespace flux::config
