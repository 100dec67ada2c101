#pragma once

#include <charconv>
#include <map>
#include <memory>
#include <string>

#include "wire/json/telemetry_reader.h"

namespace flux::wire::json::testing {

/// One device of a `FakeSink`: learns types, makes shapes, gives times 1 ns, 2 ns, ….
class FakeDevice final : public DeviceRows {
 public:
  FakeDevice(BatchBuilder& builder, std::string name, std::map<std::string, ValueType, std::less<>> types,
             std::string stolen, int& shapes_made)
      : DeviceRows(builder),
        name_(std::move(name)),
        types_(std::move(types)),
        stolen_(std::move(stolen)),
        shapes_made_(shapes_made) {}

  ValueType type_of(std::string_view metric, ValueType given) override {
    const auto found = types_.find(metric);
    return found == types_.end() ? given : found->second;
  }
  Result<ShapePtr> make_shape(const std::vector<FieldDef>& fields) override {
    for (const FieldDef& field : fields) {
      if (field.name == stolen_) return fail(ErrorCode::invalid_argument, "taken", field.name);
      types_[field.name] = field.type;
    }
    ++shapes_made_;
    return std::make_shared<Shape>(ShapeKey{.tenant = {1}, .device = name_, .fields = fields});
  }
  Time next_time() override { return {++clock_}; }

 private:
  std::string name_;
  std::map<std::string, ValueType, std::less<>> types_;
  std::string stolen_;
  int& shapes_made_;
  std::int64_t clock_ = 0;
};

/// Collects rows of any device in one builder; `self` is the device of messages that name none.
class FakeSink final : public TelemetrySink {
 public:
  explicit FakeSink(std::string self) : self_(std::move(self)) {}

  Result<DeviceRows*> device(std::string_view name) override {
    if (name.empty()) name = self_;
    if (name == forbidden) return fail(ErrorCode::permission_denied, "not yours");
    auto& slot = devices[std::string(name)];
    if (!slot) slot = std::make_unique<FakeDevice>(builder, std::string(name), types, stolen, shapes_made);
    return slot.get();
  }

  /// Rows as "device@time field=value …", group by group; seals the builder.
  std::string dump() {
    const BatchPtr batch = builder.seal({});
    std::string text;
    for (const auto& group : batch->groups()) {
      for (std::size_t row = 0; row < group.rows(); ++row) {
        text += group.shape().device() + "@" + to_rfc3339({batch->times(group)[row]});
        for (std::size_t field = 0; field < group.shape().field_count(); ++field) {
          if (!batch->has(group, field, row)) continue;
          text += " " + group.shape().fields()[field].name + "=" + print(batch->value(group, field, row));
        }
        text += "\n";
      }
    }
    return text;
  }

  BatchBuilder builder;
  std::map<std::string, ValueType, std::less<>> types;
  std::string forbidden = "\n";
  std::string stolen;
  int shapes_made = 0;
  std::map<std::string, std::unique_ptr<FakeDevice>> devices;

 private:
  static std::string print(const Value& value) {
    if (const auto* text = std::get_if<std::string>(&value)) return "'" + *text + "'";
    if (const auto* truth = std::get_if<bool>(&value)) return *truth ? "true" : "false";
    if (const auto* number = std::get_if<std::int64_t>(&value)) return std::to_string(*number);
    if (const auto* number = std::get_if<std::uint64_t>(&value)) return std::to_string(*number) + "u";
    char text[32];
    return {text, std::to_chars(text, text + sizeof text, std::get<double>(value)).ptr};
  }

  std::string self_;
};

}  // namespace flux::wire::json::testing
