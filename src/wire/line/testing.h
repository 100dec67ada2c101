#pragma once

#include <charconv>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "wire/line/line_reader.h"

namespace flux::wire::line::testing {

/// A body with the bytes behind it that the reader may touch.
class Body {
 public:
  explicit Body(std::string_view text) : size_(text.size()), bytes_(text) { bytes_.append(kPadding, '\0'); }
  [[nodiscard]] std::string_view view() const { return std::string_view(bytes_).substr(0, size_); }

 private:
  std::size_t size_;
  std::string bytes_;
};

/// Collects rows of any series in one builder. A field has one type in each measurement; times given are 1 ns, 2 ns, ….
class FakeSink final : public LineSink {
 public:
  Result<std::unique_ptr<SeriesRows>> open(const Point& point) override {
    ++opened;
    if (point.measurement == "forbidden") return fail(ErrorCode::permission_denied, "not yours");
    return std::make_unique<Rows>(*this, point);
  }
  BatchBuilder* accept(SeriesRows& rows) override {
    return static_cast<Rows&>(rows).generation == generation ? &builder : nullptr;
  }

  /// Rows as "measurement,tag=value field=value … time", in the order of groups; seals the builder.
  std::vector<std::string> rows() {
    const BatchPtr batch = builder.seal({});
    std::vector<std::string> out;
    for (const auto& group : batch->groups()) {
      for (std::size_t row = 0; row < group.rows(); ++row) {
        std::string text = name_of(group.shape().key());
        std::map<std::string, std::string> fields;
        for (std::size_t field = 0; field < group.shape().field_count(); ++field)
          if (batch->has(group, field, row))
            fields[group.shape().fields()[field].name] = print(batch->value(group, field, row));
        for (const auto& [name, value] : fields) text += " [" + name + "]=" + value;
        out.push_back(text + " " + std::to_string(batch->times(group)[row]));
      }
    }
    return out;
  }

  static std::string name_of(const ShapeKey& key) {
    std::string text = "[" + key.measurement + "]";
    for (const auto& tag : key.tags) text += ",[" + tag.key + "]=[" + tag.value + "]";
    return text;
  }
  static std::string print(const Value& value) {
    if (const auto* text = std::get_if<std::string>(&value)) return "'" + *text + "'";
    if (const auto* truth = std::get_if<bool>(&value)) return *truth ? "true" : "false";
    if (const auto* number = std::get_if<std::int64_t>(&value)) return std::to_string(*number) + "i";
    if (const auto* number = std::get_if<std::uint64_t>(&value)) return std::to_string(*number) + "u";
    return std::to_string(to_cell(std::get<double>(value))) + "f";  // its very bits
  }

  BatchBuilder builder;
  std::map<std::pair<std::string, std::string>, ValueType> types;
  int opened = 0;
  int shapes = 0;
  int generation = 0;  ///< series of an earlier one are accepted no more

 private:
  class Rows final : public SeriesRows {
   public:
    Rows(FakeSink& sink, const Point& point) : generation(sink.generation), sink_(sink) {
      key_.tenant = {1};
      key_.measurement = point.measurement;
      key_.device = "d";
      for (const auto& tag : point.tags) key_.tags.push_back({std::string(tag.key), std::string(tag.value)});
    }
    Result<ShapePtr> make_shape(std::vector<FieldDef> fields) override {
      for (const FieldDef& field : fields) {
        const auto [known, fresh] = sink_.types.try_emplace({key_.measurement, field.name}, field.type);
        if (known->second != field.type) return fail(ErrorCode::invalid_argument, "field type conflict", field.name);
      }
      ++sink_.shapes;
      ShapeKey key = key_;
      key.fields = std::move(fields);
      return std::make_shared<Shape>(std::move(key));
    }
    Time next_time() override { return {++sink_.clock_}; }
    const int generation;

   private:
    FakeSink& sink_;
    ShapeKey key_;
  };

  std::int64_t clock_ = 0;
};

}  // namespace flux::wire::line::testing
