#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "wire/line/testing.h"
#include "wire/line/values.h"

/// Line protocol read the plain way, one character after the other, to compare the reader with. It shares with it
/// only how one number is read.
namespace flux::wire::line::testing {

class Reference {
 public:
  std::vector<std::string> rows;  ///< as FakeSink::rows prints them, but in the order of lines
  std::vector<std::string> bad;   ///< "line:column cause"

  void read(std::string_view body, Precision precision) {
    std::size_t at = 0;
    std::size_t number = 1;
    while (at < body.size()) {
      const std::size_t end = line_end(body, at);
      const std::string_view whole = body.substr(at, end - at);
      line_ = whole;
      if (line_.ends_with('\r')) line_.remove_suffix(1);
      i_ = 0;
      skip_blanks();
      line_number_ = number;
      if (i_ < line_.size() && line_[i_] != '#') line(precision);
      for (const char c : whole) number += c == '\n' ? 1 : 0;
      ++number;
      at = end + 1;
    }
  }

 private:
  static bool blank(char c) { return c == ' ' || c == '\t' || c == '\0'; }
  void skip_blanks() {
    while (i_ < line_.size() && blank(line_[i_])) ++i_;
  }

  static std::size_t line_end(std::string_view body, std::size_t begin) {
    std::size_t i = begin;
    while (i < body.size() && blank(body[i])) ++i;
    if (i < body.size() && body[i] == '#') return std::min(body.find('\n', i), body.size());
    enum { key, fields, string } state = key;
    const std::size_t start = i;
    const std::size_t first = std::min(body.find('\n', start), body.size());
    for (; i < body.size(); ++i) {
      if (state == string) {
        if (body[i] == '\\') ++i;
        else if (body[i] == '"') state = fields;
        continue;
      }
      const bool escaped = i > start && body[i - 1] == '\\';
      if (body[i] == '\n' && !escaped) return i;
      if (body[i] == ' ' && !escaped) state = fields;
      if (body[i] == '"' && state == fields && body[i - 1] == '=' && body[i - 2] != '\\') state = string;
    }
    return state == string ? first : body.size();
  }

  std::string unescape(std::string_view text, std::string_view what) {
    std::string out;
    for (std::size_t k = 0; k < text.size(); ++k) {
      if (text[k] == '\\' && k + 1 < text.size() && what.contains(text[k + 1])) ++k;
      out += text[k];
    }
    return out;
  }
  /// Text up to one of `stops` that is not escaped.
  std::string_view word(std::string_view stops) {
    const std::size_t begin = i_;
    while (i_ < line_.size() && !(stops.contains(line_[i_]) && (i_ == 0 || line_[i_ - 1] != '\\'))) ++i_;
    return line_.substr(begin, i_ - begin);
  }
  char here() const { return i_ < line_.size() ? line_[i_] : '\n'; }
  bool at_end() const { return i_ == line_.size(); }

  void line(Precision precision) {
    const std::size_t indent = i_;
    line_.remove_prefix(indent);
    i_ = 0;
    std::string cause;
    const auto fault = parse(precision, cause);
    if (!fault) return;
    std::size_t lines = 0;
    std::size_t column = indent + *fault;
    for (std::size_t k = 0; k < *fault && k < line_.size(); ++k) {
      if (line_[k] != '\n') continue;
      ++lines;
      column = *fault - k - 1;
    }
    bad.push_back(std::to_string(line_number_ + lines) + ":" + std::to_string(column + 1) + " " + cause);
  }

  std::optional<std::size_t> parse(Precision precision, std::string& cause) {
    const auto fault = [&](std::string_view text) {
      cause = text;
      return i_;
    };
    if (here() == ',') return fault("missing measurement");
    i_ = 1;
    std::string measurement = line_.substr(0, 1).data()[0] + std::string(word(", "));
    measurement = unescape(measurement, ", ");
    if (at_end()) return fault("missing fields");
    std::map<std::string, std::string> tags;
    bool twice = false;
    while (here() == ',') {
      ++i_;
      if (at_end() || here() == ' ' || here() == ',' || here() == '=') return fault("missing tag key");
      const std::size_t begin = i_++;
      word("=, ");
      if (at_end() || here() != '=') return fault("missing tag value");
      const std::string key = unescape(line_.substr(begin, i_ - begin), ",= ");
      ++i_;
      if (at_end() || here() == ',' || here() == ' ') return fault("missing tag value");
      const std::size_t value = i_;
      if (here() == '=') return fault("invalid tag format");
      ++i_;
      word("=, ");
      if (at_end()) return fault("missing fields");
      if (here() == '=') return fault("invalid tag format");
      twice |= !tags.emplace(key, unescape(line_.substr(value, i_ - value), ",= ")).second;
    }
    if (twice) {
      i_ = measurement.size();
      return fault("duplicate tags");
    }
    skip_blanks();
    if (at_end()) return fault("missing fields");
    std::map<std::string, std::string> fields;
    std::map<std::string, ValueType> types;
    for (;; ++i_) {
      const std::size_t begin = i_;
      const std::string key = unescape(word("=, "), ",\" =");
      if (at_end() || here() != '=') return fault("invalid field format");
      if (i_ == begin) return fault("missing field key");
      ++i_;
      if (at_end() || here() == ',' || here() == ' ') return fault("missing field value");
      if (here() == '"') {
        const std::size_t open = i_++;
        std::string text;
        while (!at_end() && here() != '"') {
          if (here() == '\\') {
            ++i_;
            if (at_end()) break;
            if (here() != '"' && here() != '\\') text += '\\';
          }
          text += here();
          ++i_;
        }
        if (at_end()) {
          i_ = open;
          return fault("unbalanced quotes");
        }
        ++i_;
        if (!at_end() && here() != ',' && here() != ' ') return fault("invalid field format");
        fields[key] = "'" + text + "'";
        types[key] = ValueType::string;
      } else {
        const std::size_t value = i_;
        while (!at_end() && here() != ',' && here() != ' ') ++i_;
        ValueType type{};
        Cell cell = 0;
        if (!read_value(line_.substr(value, i_ - value), type, cell, cause)) {
          i_ = value;
          return i_;
        }
        types[key] = type;
        switch (type) {
          case ValueType::float64: fields[key] = std::to_string(cell) + "f"; break;
          case ValueType::int64: fields[key] = std::to_string(as_int64(cell)) + "i"; break;
          case ValueType::uint64: fields[key] = std::to_string(cell) + "u"; break;
          default: fields[key] = cell != 0 ? "true" : "false";
        }
      }
      if (here() != ',' || at_end()) break;
    }
    skip_blanks();
    std::int64_t time = 0;
    const bool timed = !at_end();
    if (timed) {
      const std::size_t begin = i_;
      if (here() == '-') ++i_;
      while (here() >= '0' && here() <= '9') ++i_;
      if (!at_end() && here() != ' ') return fault("bad timestamp");
      if (!read_time(line_.substr(begin, i_ - begin), precision, time, cause)) {
        i_ = begin;
        return i_;
      }
      while (here() == ' ') ++i_;
      if (!at_end()) return fault("point is invalid");
    }
    for (const auto& [name, type] : types) {
      const auto [known, fresh] = known_.try_emplace({measurement, name}, type);
      if (known->second != type) return std::nullopt;  // a conflict: the tests count these apart
    }
    if (!timed) time = ++clock_;
    std::string row = "[" + measurement + "]";
    for (const auto& [key, value] : tags) row += ",[" + key + "]=[" + value + "]";
    for (const auto& [key, value] : fields) row += " [" + key + "]=" + value;
    rows.push_back(row + " " + std::to_string(time));
    return std::nullopt;
  }

  std::string_view line_;
  std::size_t i_ = 0;
  std::size_t line_number_ = 0;
  std::int64_t clock_ = 0;
  std::map<std::pair<std::string, std::string>, ValueType> known_;
};

}  // namespace flux::wire::line::testing
