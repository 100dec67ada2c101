#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/batch_builder.h"
#include "core/result.h"
#include "wire/line/point.h"
#include "wire/line/series_cache.h"
#include "wire/line/series_rows.h"
#include "wire/line/values.h"

/// InfluxDB's line protocol, as version 1.x reads it.
namespace flux::wire::line {

/// `n`, `ns`, `u`, `µ`, `us`, `ms`, `s`, `m`, `h`; empty means ns.
Result<Precision> parse_precision(std::string_view text);

struct Limits {
  std::size_t max_fields = 4'096;
  std::size_t max_string_bytes = 64 << 10;
};

/// Where rows go.
class LineSink {
 public:
  virtual ~LineSink() = default;
  /// The series of a key that is not in the cache.
  virtual Result<std::unique_ptr<SeriesRows>> open(const Point& point) = 0;
  /// Called for each line: where its row goes. Null when the series may not be written as it is any more: it then
  /// leaves the cache and is opened again.
  virtual BatchBuilder* accept(SeriesRows& rows) = 0;
};

struct Outcome {
  std::uint32_t lines = 0;  ///< blank lines and comments counted
  std::uint32_t rows = 0;
  std::uint32_t readings = 0;
  struct Refusal {
    std::uint32_t line = 0;    ///< from 1
    std::uint32_t column = 0;  ///< bytes, from 1
    std::string text;          ///< the line, or its beginning
    Error error;
    bool dropped = false;  ///< the line is a point, but cannot be stored
  };
  std::vector<Refusal> refusals;  ///< the first hundred
  std::uint32_t refused = 0;
  std::uint32_t dropped = 0;  ///< of these
};

/// Turns bodies into rows. Keeps nothing between bodies but memory; one thread.
///
///     LineReader reader;
///     reader.read(body, Precision::ns, cache, sink, outcome);   // what can be stored is staged
class LineReader {
 public:
  explicit LineReader(Limits limits = {}) : limits_(limits) {}

  /// At least `kPadding` zero bytes that may be read lie behind `body`.
  void read(std::string_view body, Precision precision, SeriesCache& cache, LineSink& sink, Outcome& outcome);

  static constexpr std::size_t kMaxRefusals = 100;
  static constexpr std::size_t kShownBytes = 512;

 private:
  using Layout = SeriesRows::Layout;

  const char* quick_row(const char* at, const char* end, SeriesRows& rows, BatchBuilder& builder);
  const char* match(const char* at, const char* end, const Layout& layout);
  const char* finish(const char* at, const char* end, SeriesRows& rows, const Layout& layout, BatchBuilder& builder);
  bool slow_row(std::string_view line);
  Result<const Layout*> layout_for(SeriesRows& rows);
  Result<const Layout*> new_layout(SeriesRows& rows);
  const Layout* keep(SeriesRows& rows, ShapePtr shape, const std::vector<std::string_view>& order);
  Result<> store(SeriesRows& rows, BatchBuilder& builder);
  void refuse(std::string_view line, std::size_t offset, Error error, bool dropped);

  const Limits limits_;
  Point point_;

  // Of the body at hand.
  Precision precision_ = Precision::ns;
  std::int64_t unit_ = 1;
  SeriesCache* cache_ = nullptr;
  LineSink* sink_ = nullptr;
  Outcome* outcome_ = nullptr;

  // Of the line at hand: by column.
  struct Text {
    std::uint32_t column;
    const char* begin;
    const char* end;
    bool escaped;
  };
  std::vector<Cell> cells_;
  std::vector<Text> texts_;
  std::vector<std::uint32_t> missing_;
  std::string unescaped_;
  std::size_t indent_ = 0;  // blanks before the line
};

}  // namespace flux::wire::line
