#include "ingest/line/line_intake.h"

#include <algorithm>

namespace flux::ingest::line {
namespace {

/// Databases and kinds of senders that one shard keeps series for; beyond it all begin anew.
constexpr std::size_t kMostTargets = 64;
constexpr std::string_view kTime = "time";

std::unexpected<Error> reserved(std::string_view what, const std::string& measurement) {
  return fail(ErrorCode::invalid_argument,
              "invalid " + std::string(what) + ": input " + std::string(what == "tag key" ? "tag" : "field") +
                  " \"time\" on measurement \"" + measurement + "\" is invalid",
              std::string(kTime));
}

}  // namespace

/// One series key of one database.
class LineIntake::Series final : public wire::line::SeriesRows {
 public:
  /// `device` is null while there is none: the first row that is taken makes it.
  Series(registry::DatabaseEntryPtr database, registry::DeviceEntryPtr device, ShapeKey stem, LineIntake& intake)
      : database_(std::move(database)),
        device_(std::move(device)),
        stem_(std::move(stem)),
        intake_(intake),
        partition_(intake.outbox_.partition_of(bucket_of(stem_.tenant, stem_.device))),
        builder_(intake.outbox_.builder(partition_)) {}

  [[nodiscard]] bool removed() const { return device_ != nullptr && device_->removed(); }
  [[nodiscard]] PartitionId partition() const { return partition_; }
  [[nodiscard]] BatchBuilder& builder() const { return builder_; }

  Result<ShapePtr> make_shape(std::vector<FieldDef> fields) override {
    if (std::ranges::find(fields, kTime, &FieldDef::name) != fields.end())
      return reserved("field name", stem_.measurement);
    DO(database_->check_or_set_types(stem_.measurement, fields));
    if (!device_) {
      TRY(device_, intake_.make(stem_.device));
    }
    // What comes as JSON lies in this database too, and has its types by device.
    if (stem_.database == "default") DO(device_->check_or_set_types(stem_.measurement, fields));
    ShapeKey key = stem_;
    key.fields = std::move(fields);
    return std::make_shared<const Shape>(std::move(key));
  }
  Time next_time() override { return device_->assign_time(wall_now()); }

 private:
  registry::DatabaseEntryPtr database_;
  registry::DeviceEntryPtr device_;
  ShapeKey stem_;
  LineIntake& intake_;
  PartitionId partition_;
  BatchBuilder& builder_;
};

LineIntake::LineIntake(Outbox& outbox, Admission& admission, registry::Directory& directory, const Config& config)
    : outbox_(outbox),
      admission_(admission),
      directory_(directory),
      cached_series_(config.line.cached_series),
      reader_({.max_fields = config.line.fields_per_line, .max_string_bytes = config.limits.string_bytes}) {}

LineIntake::~LineIntake() = default;

void LineIntake::read(std::string_view body, wire::line::Precision precision, const Source& source) {
  outbox_.begin();
  source_ = &source;
  reader_.read(body, precision, target_for(source).cache, *this, outcome_);
}

LineIntake::Target& LineIntake::target_for(const Source& source) {
  TargetKey key(source.database->tenant().value, source.database->settings().name, source.retention_policy,
                source.identity.device());
  const auto known = targets_.find(key);
  if (known != targets_.end() && known->second.database == source.database) return known->second;
  if (known != targets_.end()) targets_.erase(known);  // it was dropped, and made again
  if (targets_.size() >= kMostTargets) targets_.clear();
  return targets_.try_emplace(std::move(key), source.database, cached_series_).first->second;
}

BatchBuilder* LineIntake::accept(wire::line::SeriesRows& rows) {
  auto& series = static_cast<Series&>(rows);
  if (series.removed()) return nullptr;
  outbox_.touch(series.partition());
  return &series.builder();
}

/// By the first of the database's device tags that can be a device's id. A line that has none belongs to the device
/// that the credential is for, or (empty) to the one that stands for the database.
std::string LineIntake::device_of(const wire::line::Point& point) const {
  for (const std::string& name : source_->database->settings().device_tags) {
    const auto tag = std::ranges::find(point.tags, name, &wire::line::Point::Tag::key);
    if (tag != point.tags.end() && registry::check_device_id(tag->value)) return std::string(tag->value);
  }
  if (!source_->identity.device().empty()) return source_->identity.device();
  return std::string();
}

Result<registry::DeviceEntryPtr> LineIntake::make(const std::string& device) {
  // The one that stands for the database is the database's own, whoever writes.
  if (source_->identity.device().empty() && device == source_->database->settings().name)
    return directory_.ensure(source_->database->tenant(), device);
  return admission_.make(source_->identity, device);
}

Result<std::unique_ptr<wire::line::SeriesRows>> LineIntake::open(const wire::line::Point& point) {
  ShapeKey stem{.tenant = source_->database->tenant(),
                .database = source_->database->settings().name,
                .retention_policy = std::string(source_->retention_policy),
                .measurement = std::string(point.measurement)};
  for (const auto& tag : point.tags) {
    if (tag.key == kTime) return reserved("tag key", stem.measurement);
    stem.tags.push_back({std::string(tag.key), std::string(tag.value)});
  }
  stem.device = device_of(point);
  registry::DeviceEntryPtr device;
  if (stem.device.empty()) {
    stem.device = stem.database;
    device = directory_.find(stem.tenant, stem.device);
  } else {
    TRY(device, admission_.admit(source_->identity, stem.device));
  }
  return std::make_unique<Series>(source_->database, std::move(device), std::move(stem), *this);
}

}  // namespace flux::ingest::line
