#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "query/influxql/service.h"

namespace flux::gateway::influx {

/// How an answer is written.
struct AnswerOptions {
  bool csv = false;
  bool pretty = false;
  bool chunked = false;
  std::size_t chunk_rows = 10'000;
  std::string epoch;  ///< `ns`, `u`, `ms`, `s`, `m`, `h`; empty: RFC 3339
};

/// Writes an answer of InfluxQL as InfluxDB 1.x does: JSON (one document, or one for each chunk) or CSV.
///
/// What a statement gave is held back up to a size, so that an error of the statement can stand in its place.
class AnswerWriter final : public query::influxql::Answer {
 public:
  using Push = std::function<bool(std::string)>;
  AnswerWriter(AnswerOptions options, std::size_t piece_bytes, Push push)
      : options_(std::move(options)), piece_bytes_(piece_bytes), push_(std::move(push)) {}

  void begin(std::size_t statement) override;
  bool series(query::influxql::AnswerSeries&& series, const query::influxql::Strings& strings) override;
  void message(std::string_view text) override;
  void error(std::string_view text) override;
  void end() override;
  /// After the last statement: hands over the rest.
  bool finish();

 private:
  bool json_series(const query::influxql::AnswerSeries& series, const query::influxql::Strings& strings);
  bool csv_series(const query::influxql::AnswerSeries& series, const query::influxql::Strings& strings);
  void json_head(const query::influxql::AnswerSeries& series);
  void close_series();
  void write_chunk(bool partial);
  [[nodiscard]] std::string time(std::int64_t ns, const query::TimeZonePtr& zone) const;
  bool hand_over(bool all);

  const AnswerOptions options_;
  const std::size_t piece_bytes_;
  const Push push_;
  std::string text_;
  std::size_t statement_ = 0;
  std::size_t started_at_ = 0;  ///< of the statement in `text_`
  bool handed_over_ = false;    ///< of the statement: something went out already
  bool any_statement_ = false;
  bool ever_ = false;  ///< something was handed over
  bool any_series_ = false;
  bool in_series_ = false;
  std::string messages_;
  std::string error_;
  bool wanted_ = true;
  // Of chunked answers: a series that waits to learn whether more follows.
  std::string chunk_;
  // Of CSV.
  std::vector<std::string> csv_columns_;
  bool csv_any_ = false;
};

/// JSON with four blanks for each level, as Go indents it.
std::string indented(std::string_view json);

}  // namespace flux::gateway::influx
