#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "store/series/engine/part_writer.h"
#include "store/series/engine/time_slice.h"

namespace flux::store::engine {

/// When a series' reading of some time arrived.
struct Arrival {
  std::int64_t time = 0;
  std::int64_t received = 0;
};

/// Writes one stream of series into one part per time slice. Called as a `PartWriter` is.
class SlicedWriter {
 public:
  struct NewPart {
    std::uint64_t id;
    std::filesystem::path path;
  };
  /// `name_part` gives each part its id and file. Files of a writer that did not finish are removed.
  SlicedWriter(FileSystem& files, SlicePlan plan, std::function<NewPart()> name_part);
  ~SlicedWriter();
  SlicedWriter(const SlicedWriter&) = delete;
  SlicedWriter& operator=(const SlicedWriter&) = delete;

  void begin_stem(const Stem& stem) { stem_ = &stem; }  ///< borrowed until `end_stem`
  void begin_series(std::string_view field, ValueType type);
  Result<> add(std::span<const std::int64_t> times, std::span<const Cell> cells);
  /// `arrivals`: those known; where a part's last reading has none, its event time stands in.
  Result<> end_series(std::span<const Arrival> arrivals);
  Result<> end_stem();

  /// Parts with readings, synced. `meta` gives what they have in common.
  Result<std::vector<PartMeta>> finish(const PartMeta& meta);

 private:
  struct Output {
    NewPart part;
    std::unique_ptr<PartWriter> writer;
    bool in_stem = false;
    bool in_series = false;
    std::int64_t last_time = 0;
  };

  Result<Output*> output_for(std::size_t slice);

  FileSystem& files_;
  SlicePlan plan_;
  std::function<NewPart()> name_part_;
  std::vector<Output> outputs_;  // by slice
  const Stem* stem_ = nullptr;
  std::string_view field_;
  ValueType type_ = ValueType::float64;
  bool finished_ = false;
};

}  // namespace flux::store::engine
