// Looks at everything on disk: for `fluxgate store`.

#include <algorithm>
#include <map>
#include <tuple>

#include "store/series/engine/block_codec.h"
#include "store/series/engine/engine_impl.h"

namespace flux::store::engine {
namespace {

/// Goes through one part, past the cache of pages: what is told is what lies on the disk now.
class PartLook {
 public:
  PartLook(const Part& part, std::stop_token stop, std::vector<std::string>& problems)
      : part_(part), stop_(std::move(stop)), problems_(problems) {}

  /// `page(IndexPage)` for every page that can be read; what cannot is a problem.
  template <class OnPage>
  Result<> pages(OnPage&& on_page) {
    for (std::size_t i = 0; i < part_.page_count(); ++i) {
      if (stop_.stop_requested()) return fail(ErrorCode::cancelled, "the look at the store was cancelled");
      const auto page = part_.fresh_page(i);
      if (!good(page)) continue;
      on_page(**page);
    }
    return {};
  }

  template <class T>
  bool good(const Result<T>& result) {
    if (result) return true;
    problems_.push_back(result.error().message);
    return false;
  }

 private:
  const Part& part_;
  std::stop_token stop_;
  std::vector<std::string>& problems_;
};

void check_part(const Part& part, const IndexPage& page, PartLook& look, CheckReport& report) {
  std::vector<std::int64_t> times;
  for (const TimeBlock& block : page.time_blocks) {
    ++report.blocks;
    (void)look.good(part.read_times(block, times));
  }
  std::vector<Cell> cells;
  for (const SeriesEntry& entry : page.series) {
    ++report.series;
    for (const ValueBlock& block : page.blocks_of(entry)) {
      ++report.blocks;
      report.values += block.summary.count;
      TextArena arena;
      (void)look.good(part.read_values(block, entry.type, cells, arena));
    }
    for (const RollupBlock& block : page.rollups_of(entry)) {
      ++report.blocks;
      (void)look.good(part.read_rollups(block, entry.type));
    }
  }
}

void add(Share& share, std::uint64_t values, std::uint64_t bytes) {
  ++share.blocks;
  share.values += values;
  share.bytes += bytes;
}

}  // namespace

Result<CheckReport> Engine::check(std::stop_token stop) {
  const Snapshot now = snapshot();
  CheckReport report;
  for (const DamagedPart& damaged : now.version->damaged) report.problems.push_back(damaged.problem);
  for (const LivePart& live : now.version->parts) {
    ++report.parts;
    report.bytes += live.part->meta().bytes;
    // Opened anew, so that header, footer and directory are read again.
    PartMeta expected = live.part->meta();
    const auto part = Part::open(files_, live.part->path(), expected, pages_);
    if (!part) {
      report.problems.push_back(part.error().message);
      continue;
    }
    const std::size_t problems = report.problems.size();
    const CheckReport before = report;
    std::uint64_t stems = 0;
    PartLook look(**part, stop, report.problems);
    DO(look.pages([&](const IndexPage& page) {
      stems += page.stems.size();
      check_part(**part, page, look, report);
    }));
    if (report.problems.size() > problems) continue;  // counts would only repeat it
    const auto compare = [&](const char* what, std::uint64_t found, std::uint64_t told) {
      if (found != told)
        report.problems.push_back(live.part->path().string() + ": has " + std::to_string(found) + " " + what +
                                  ", its footer says " + std::to_string(told));
    };
    compare("values", report.values - before.values, expected.values);
    compare("series", report.series - before.series, expected.series);
    compare("stems", stems, expected.stems);
  }
  for (const std::string& problem : report.problems) note_damage({ErrorCode::corrupt, problem, {}});
  return report;
}

Result<StorageReport> Engine::storage(std::stop_token stop) {
  const Snapshot now = snapshot();
  StorageReport report;
  for (const DamagedPart& damaged : now.version->damaged) report.problems.push_back(damaged.problem);
  std::map<std::tuple<std::uint32_t, std::string, std::string, std::string>, Share> metrics;
  std::map<std::string, Share> codecs;
  for (const LivePart& live : now.version->parts) {
    const Part& part = *live.part;
    ++report.parts;
    report.values += part.meta().values;
    report.bytes += part.meta().bytes;
    std::uint64_t of_blocks = 0;
    const auto count = [&](Share& share, PartLook& look, const BlockRef& ref, std::uint64_t values,
                           std::string_view prefix) {
      const auto bytes = part.block(ref);
      if (!look.good(bytes)) return;
      of_blocks += ref.size;
      add(share, values, ref.size);
      add(codecs[std::string(prefix) + (prefix == "rollup" ? std::string() : describe_block(*bytes))], values,
          ref.size);
    };
    PartLook look(part, stop, report.problems);
    DO(look.pages([&](const IndexPage& page) {
      for (const TimeBlock& block : page.time_blocks) count(report.times, look, block.ref, block.count, "times ");
      for (const StemEntry& stem : page.stems) {
        for (const SeriesEntry& entry : page.series_of(stem)) {
          Share& metric = metrics[{stem.stem.tenant.value, std::string(stem.stem.database),
                                   std::string(stem.stem.measurement), std::string(entry.field)}];
          for (const ValueBlock& block : page.blocks_of(entry)) {
            count(report.coded, look, block.ref, block.summary.count, "");
            add(metric, block.summary.count, block.ref.size);
          }
          for (const RollupBlock& block : page.rollups_of(entry))
            count(report.rollups, look, block.ref, block.rows, "rollup");
        }
      }
    }));
    report.index_bytes += part.meta().bytes - of_blocks;
  }
  for (auto& [key, share] : metrics)
    report.metrics.push_back({{std::get<0>(key)}, std::get<1>(key), std::get<2>(key), std::get<3>(key), share});
  for (auto& [name, share] : codecs) report.codecs.push_back({name, share});
  const auto by_bytes = [](const auto& of) { return of.share.bytes; };
  std::ranges::stable_sort(report.metrics, std::greater(), by_bytes);
  std::ranges::stable_sort(report.codecs, std::greater(), by_bytes);
  return report;
}

void Engine::start_merge_to_end() {
  {
    const std::scoped_lock lock(wake_mutex_);
    if (merge_status_.running) return;
    merge_status_ = {.running = true};
    wake_merge_.notify_all();
  }
  if (!environment_.background) merge_to_end();
}

MergeStatus Engine::merge_status() const {
  const std::scoped_lock lock(wake_mutex_);
  return merge_status_;
}

// What `start_merge_to_end` asked for, on the merge thread.
void Engine::merge_to_end() {
  auto done = flush();
  while (done) {
    if (stop_) {
      done = fail(ErrorCode::cancelled, "the store is closing");
      break;
    }
    const auto merged = merge_with(true);
    if (!merged) done = std::unexpected(merged.error());
    else if (!*merged) break;
    const std::scoped_lock lock(wake_mutex_);
    merge_status_.merges += merged && *merged ? 1 : 0;
  }
  const std::scoped_lock lock(wake_mutex_);
  merge_status_.running = false;
  if (!done) merge_status_.error = done.error();
}

}  // namespace flux::store::engine
