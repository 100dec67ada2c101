#include "observe/metrics.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <regex>
#include <sstream>
#include <thread>

namespace flux::metrics {
namespace {

/// Reads the text format as strictly as a scraper may: every line must be a HELP, a TYPE or a sample of the family that
/// was announced last; no family and no sample twice. Returns the samples by `name{labels}`.
std::map<std::string, double> parse_exposition(const std::string& text) {
  static const std::regex help(R"(# HELP ([a-z][a-z0-9_]*) ((?:[^\\\n]|\\\\|\\n)+))");
  static const std::regex type(R"(# TYPE ([a-z][a-z0-9_]*) (counter|gauge|histogram))");
  static const std::regex sample(
      R"re(([a-z][a-z0-9_]*)(\{[a-z][a-z0-9_]*="(?:[^"\\\n]|\\\\|\\"|\\n)*"(?:,[a-z][a-z0-9_]*="(?:[^"\\\n]|\\\\|\\"|\\n)*")*\})? (NaN|[+-]Inf|[-+0-9.e]+))re");
  std::map<std::string, double> samples;
  std::map<std::string, std::string> types;
  std::string family;
  EXPECT_TRUE(text.empty() || text.back() == '\n');
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    std::smatch match;
    if (std::regex_match(line, match, help)) {
      family = match[1];
      EXPECT_FALSE(types.contains(family)) << line;
    } else if (std::regex_match(line, match, type)) {
      EXPECT_EQ(match[1], family);
      types[family] = match[2];
    } else if (std::regex_match(line, match, sample)) {
      std::string name = match[1];
      if (types[family] == "histogram") name = std::regex_replace(name, std::regex("_(bucket|sum|count)$"), "");
      EXPECT_EQ(name, family) << line;
      EXPECT_TRUE(samples.emplace(match[1].str() + match[2].str(), std::stod(match[3])).second) << line;
    } else {
      ADD_FAILURE() << "not a line of the text format: " << line;
    }
  }
  return samples;
}

TEST(Metrics, CounterSumsOverThreads) {
  Registry registry;
  Counter& counter = registry.counter("fluxgate_bus_appended_events_total", "Events appended.");
  std::vector<std::thread> threads;
  for (int i = 0; i < 2 * static_cast<int>(kCells) + 1; ++i) {
    threads.emplace_back([&counter] {
      for (int n = 0; n < 1000; ++n) counter.add();
      counter.add(500);
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(counter.value(), (2 * kCells + 1) * 1500);
  EXPECT_EQ(registry.value("fluxgate_bus_appended_events_total"), static_cast<double>(counter.value()));
}

TEST(Metrics, SameNameAndLabelsAreTheSameMetric) {
  Registry registry;
  Counter& one = registry.counter("fluxgate_ingest_drops_total", "Drops.", {{"reason", "late"}, {"protocol", "mqtt"}});
  Counter& same = registry.counter("fluxgate_ingest_drops_total", "Drops.", {{"protocol", "mqtt"}, {"reason", "late"}});
  Counter& other =
      registry.counter("fluxgate_ingest_drops_total", "Drops.", {{"protocol", "http"}, {"reason", "late"}});
  EXPECT_EQ(&one, &same);
  EXPECT_NE(&one, &other);
}

TEST(Metrics, RendersTheTextFormat) {
  Registry registry;
  registry.counter("fluxgate_b_events_total", "Back\\slash and\nnewline.", {{"name", "a \"b\" \\ \n c"}}).add(3);
  registry.gauge("fluxgate_a_level", "A level.").set(-1.5);
  EXPECT_EQ(registry.render(),
            "# HELP fluxgate_a_level A level.\n"
            "# TYPE fluxgate_a_level gauge\n"
            "fluxgate_a_level -1.5\n"
            "# HELP fluxgate_b_events_total Back\\\\slash and\\nnewline.\n"
            "# TYPE fluxgate_b_events_total counter\n"
            "fluxgate_b_events_total{name=\"a \\\"b\\\" \\\\ \\n c\"} 3\n");
  EXPECT_EQ(parse_exposition(registry.render()).size(), 2);
}

TEST(Metrics, AnyLabelValueIsRenderedValidly) {
  EXPECT_TRUE(rc::check("labels are escaped", [](const std::string& value, double level) {
    Registry registry;
    registry.gauge("fluxgate_a_level", "A level.", {{"name", value}}).set(level);
    const auto samples = parse_exposition(registry.render());
    RC_ASSERT(samples.size() == 1u);
    RC_ASSERT(samples.begin()->second == level);
    RC_ASSERT(!testing::Test::HasFailure());
  }));
}

TEST(Metrics, RendersHistogramsCumulatively) {
  Registry registry;
  Histogram& histogram =
      registry.histogram("fluxgate_bus_fsync_seconds", "Fsync time.", Buckets::fixed({0.1, 1, 10}), {{"disk", "a"}});
  histogram.observe(0.1);  // on the bound belongs below it
  histogram.observe(Duration{500'000'000});
  histogram.observe(0.2, 3);
  histogram.observe(100);
  histogram.observe(std::nan(""));
  auto samples = parse_exposition(registry.render());
  EXPECT_EQ((samples["fluxgate_bus_fsync_seconds_bucket{disk=\"a\",le=\"0.1\"}"]), 1);
  EXPECT_EQ((samples["fluxgate_bus_fsync_seconds_bucket{disk=\"a\",le=\"1\"}"]), 5);
  EXPECT_EQ((samples["fluxgate_bus_fsync_seconds_bucket{disk=\"a\",le=\"10\"}"]), 5);
  EXPECT_EQ((samples["fluxgate_bus_fsync_seconds_bucket{disk=\"a\",le=\"+Inf\"}"]), 6);
  EXPECT_EQ((samples["fluxgate_bus_fsync_seconds_count{disk=\"a\"}"]), 6);
  EXPECT_NEAR((samples["fluxgate_bus_fsync_seconds_sum{disk=\"a\"}"]), 101.2, 1e-9);
}

TEST(Metrics, HistogramSumsOverThreads) {
  Histogram histogram(Buckets::seconds());
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&histogram] {
      for (int n = 0; n < 1000; ++n) histogram.observe(0.25);
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(histogram.snapshot().count, 8000);
  EXPECT_EQ(histogram.snapshot().sum, 2000);
}

TEST(Metrics, LogLinearBucketsAscendAndKeepTheirPrecision) {
  const Buckets plain = Buckets::log_linear(1, 8);
  EXPECT_EQ(std::vector<double>(plain.bounds().begin(), plain.bounds().end()),
            (std::vector<double>{1, 1.5, 2, 3, 4, 6, 8}));
  const Buckets buckets = Buckets::seconds();
  for (std::size_t i = 1; i < buckets.bounds().size(); ++i) {
    const double ratio = buckets.bounds()[i] / buckets.bounds()[i - 1];
    EXPECT_GT(ratio, 1.3);
    EXPECT_LT(ratio, 1.51);
  }
  EXPECT_LE(buckets.bounds().front(), 50e-6);
  EXPECT_GE(buckets.bounds().back(), 10);
}

TEST(Metrics, QuantilesLieInTheRightBucket) {
  Histogram histogram(Buckets::fixed({1, 2, 4}));
  EXPECT_EQ(histogram.snapshot().quantile(0.5), 0);
  for (int i = 0; i < 90; ++i) histogram.observe(1.5);
  for (int i = 0; i < 10; ++i) histogram.observe(3);
  EXPECT_GT(histogram.snapshot().quantile(0.5), 1);
  EXPECT_LE(histogram.snapshot().quantile(0.9), 2);
  EXPECT_GT(histogram.snapshot().quantile(0.95), 2);
  histogram.observe(100, 1000);
  EXPECT_EQ(histogram.snapshot().quantile(0.99), 4);
}

TEST(Metrics, CallbacksLiveAsLongAsTheirRegistration) {
  Registry registry;
  {
    Registration kept;
    {
      Registration made = registry.callback_gauge("fluxgate_bus_lag_seconds", "Lag.", {}, [] { return 7.0; });
      kept = std::move(made);
    }
    EXPECT_EQ(registry.value("fluxgate_bus_lag_seconds"), 7);
    kept = registry.callback_gauge("fluxgate_bus_depth", "Depth.", {}, [] { return 8.0; });
    EXPECT_EQ(registry.render().find("lag"), std::string::npos);
    EXPECT_EQ(registry.value("fluxgate_bus_depth"), 8);
  }
  EXPECT_EQ(registry.render(), "");
}

TEST(Metrics, ScrapesWhileOthersWrite) {
  Registry registry;
  Counter& counter = registry.counter("fluxgate_a_events_total", "Events.");
  Histogram& histogram = registry.histogram("fluxgate_a_seconds", "Time.", Buckets::seconds());
  std::atomic<bool> done{false};
  std::thread writer([&] {
    while (!done) {
      counter.add();
      histogram.observe(0.001);
      registry.gauge("fluxgate_a_level", "Level.").set(1);
    }
  });
  double last = 0;
  for (int i = 0; i < 50; ++i) {
    const double now = parse_exposition(registry.render())["fluxgate_a_events_total"];
    EXPECT_GE(now, last);
    last = now;
  }
  done = true;
  writer.join();
}

TEST(Metrics, ReadsTheProcess) {
  Registry registry;
  const auto registrations = register_process_metrics(registry);
  const auto samples = parse_exposition(registry.render());
  EXPECT_GT(samples.at("process_resident_memory_bytes"), 1e5);
  EXPECT_GT(samples.at("process_open_fds"), 2);
  EXPECT_GE(samples.at("process_threads"), 1);
  const double now = static_cast<double>(wall_now().ns) / 1e9;
  EXPECT_LE(samples.at("process_start_time_seconds"), now + 1);
  EXPECT_GT(samples.at("process_start_time_seconds"), now - 3600);
}

TEST(MetricsDeathTest, NamesFollowTheHouse) {
  Registry registry;
  EXPECT_DEATH(registry.counter("fluxgate_bus_events", "No total."), "fluxgate_bus_events");
  EXPECT_DEATH(registry.gauge("fluxgate_bus_events_total", "A gauge."), "fluxgate_bus_events_total");
  EXPECT_DEATH(registry.gauge("bus_level", "No prefix."), "bus_level");
  EXPECT_DEATH(registry.gauge("fluxgate_Level", "Capital."), "fluxgate_Level");
  registry.gauge("fluxgate_a_level", "One.");
  EXPECT_DEATH(registry.gauge("fluxgate_a_level", "Another."), "fluxgate_a_level");
}

}  // namespace
}  // namespace flux::metrics
