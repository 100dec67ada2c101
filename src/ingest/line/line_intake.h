#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <tuple>

#include "auth/device_auth.h"
#include "ingest/admission.h"
#include "ingest/outbox.h"
#include "registry/databases.h"
#include "registry/directory.h"
#include "wire/line/line_reader.h"

namespace flux::ingest::line {

/// One shard's way from line protocol to the outbox: finds the device of each series, fixes types, stages rows.
///
///     intake.read(body, precision, {identity, database, "autogen"});
///     const auto& outcome = intake.outcome();
///     const unsigned batches = intake.commit(answerer, 0);       // always
class LineIntake final : private wire::line::LineSink {
 public:
  LineIntake(Outbox& outbox, Admission& admission, registry::Directory& directory, const Config& config);
  ~LineIntake() override;

  struct Source {
    const auth::Identity& identity;
    registry::DatabaseEntryPtr database;
    std::string_view retention_policy;
  };
  void read(std::string_view body, wire::line::Precision precision, const Source& source);
  [[nodiscard]] const wire::line::Outcome& outcome() const { return outcome_; }
  unsigned commit(const std::shared_ptr<Answerer>& answerer, std::uint64_t ticket) {
    return outbox_.commit(answerer, ticket);
  }

 private:
  class Series;
  /// A database as one kind of sender sees it: one that may speak for its own device only has series of its own.
  struct Target {
    Target(registry::DatabaseEntryPtr of, std::size_t capacity) : database(std::move(of)), cache(capacity) {}
    registry::DatabaseEntryPtr database;
    wire::line::SeriesCache cache;
  };
  using TargetKey = std::tuple<std::uint32_t, std::string, std::string, std::string>;

  Result<std::unique_ptr<wire::line::SeriesRows>> open(const wire::line::Point& point) override;
  BatchBuilder* accept(wire::line::SeriesRows& rows) override;
  Target& target_for(const Source& source);
  [[nodiscard]] std::string device_of(const wire::line::Point& point) const;
  /// The device of a row that is about to be taken; errors as `Admission::make`.
  Result<registry::DeviceEntryPtr> make(const std::string& device);

  Outbox& outbox_;
  Admission& admission_;
  registry::Directory& directory_;
  const std::size_t cached_series_;
  wire::line::LineReader reader_;
  wire::line::Outcome outcome_;
  std::map<TargetKey, Target> targets_;
  const Source* source_ = nullptr;
};

}  // namespace flux::ingest::line
