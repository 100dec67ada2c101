#include <cmath>
#include <functional>
#include <limits>
#include <numbers>
#include <vector>

#include "query/influxql/functions.h"

namespace flux::query::influxql {
namespace {

using Vector = std::vector<double>;

/// Nelder and Mead's simplex method with the coefficients 1, 1/2 and 2; `point` becomes the best found.
double minimize(const std::function<double(Vector&)>& of, Vector& point) {
  constexpr int kMost = 1000;
  constexpr double kEpsilon = 1e-4;
  const std::size_t n = point.size();
  const auto dimensions = static_cast<double>(n);
  const double p = (std::sqrt(dimensions + 1) - 1 + dimensions) / (dimensions * std::numbers::sqrt2);
  const double q = (std::sqrt(dimensions + 1) - 1) / (dimensions * std::numbers::sqrt2);
  std::vector<Vector> corner(n + 1, point);
  for (std::size_t i = 1; i <= n; ++i)
    for (std::size_t j = 0; j < n; ++j) corner[i][j] += i - 1 == j ? p : q;
  Vector at(n + 1);
  for (std::size_t i = 0; i <= n; ++i) at[i] = of(corner[i]);
  Vector center(n);
  Vector reflected(n);
  Vector tried(n);
  for (int round = 0; round < kMost; ++round) {
    std::size_t worst = 0;
    std::size_t best = 0;
    for (std::size_t i = 0; i <= n; ++i) {
      if (at[i] > at[worst]) worst = i;
      if (at[i] < at[best]) best = i;
    }
    std::size_t second = best;
    for (std::size_t i = 0; i <= n; ++i)
      if (at[i] > at[second] && at[i] < at[worst]) second = i;
    for (std::size_t j = 0; j < n; ++j) {
      double sum = 0;
      for (std::size_t i = 0; i <= n; ++i)
        if (i != worst) sum += corner[i][j];
      center[j] = sum / dimensions;
      reflected[j] = center[j] + (center[j] - corner[worst][j]);
    }
    const double there = of(reflected);
    const auto take = [&](const Vector& instead, double value) {
      corner[worst] = instead;
      at[worst] = value;
    };
    if (there < at[second] && there >= at[best]) take(reflected, there);
    if (there < at[best]) {
      for (std::size_t j = 0; j < n; ++j) tried[j] = center[j] + 2 * (reflected[j] - center[j]);
      const double further = of(tried);
      if (further < there) take(tried, further);
      else take(reflected, there);
    }
    if (there >= at[second]) {
      if (there < at[worst]) {
        for (std::size_t j = 0; j < n; ++j) tried[j] = center[j] + 0.5 * (reflected[j] - center[j]);
      } else {
        for (std::size_t j = 0; j < n; ++j) tried[j] = center[j] - 0.5 * (center[j] - corner[worst][j]);
      }
      const double nearer = of(tried);
      if (nearer < at[worst]) {
        take(tried, nearer);
      } else {
        for (std::size_t i = 0; i <= n; ++i) {
          if (i == best) continue;
          for (std::size_t j = 0; j < n; ++j) corner[i][j] = corner[best][j] + (corner[i][j] - corner[best][j]) / 2.0;
        }
        at[worst] = of(corner[worst]);
        at[second] = of(corner[second]);
      }
    }
    double sum = 0;
    for (const double value : at) sum += value;
    const double mean = sum / (dimensions + 1);
    double spread = 0;
    for (const double value : at) spread += std::pow(value - mean, 2.0) / dimensions;
    if (std::sqrt(spread) < kEpsilon) break;
  }
  std::size_t best = 0;
  for (std::size_t i = 0; i <= n; ++i)
    if (at[i] < at[best]) best = i;
  point = corner[best];
  return of(corner[best]);
}

/// Holt and Winters' damped method over evenly spaced values; NaN where one is missing. The parameters are alpha, beta,
/// gamma, phi, level, trend, then the seasons.
class Forecaster {
 public:
  Forecaster(Vector values, std::size_t season) : y_(std::move(values)), season_(season) {}

  Vector forecast(std::size_t ahead, Vector& parameters) const {
    for (std::size_t i = 0; i < 4; ++i) {
      if (parameters[i] > 1) parameters[i] = 1;
      if (parameters[i] < 0) parameters[i] = 0;
    }
    const double alpha = parameters[0];
    const double beta = parameters[1];
    const double gamma = parameters[2];
    const double phi = parameters[3];
    double phi_sum = phi;
    double level = parameters[4];
    double trend = parameters[5];
    const std::size_t m = parameters.size() - 6;
    double* seasons = parameters.data() + 6;
    std::size_t shift = m == 0 ? 0 : m - 1;
    if (m == 1) seasons[0] = 1;
    Vector out(y_.size() + ahead);
    double value = out[0] = y_[0];
    for (std::size_t t = 1; t < out.size(); ++t) {
      double now = 1;
      double then = 1;
      if (m != 0) {
        now = seasons[(t + shift - m) % m];
        then = seasons[(t + t % m + shift - m) % m];
      }
      const double level_before = level;
      const double trend_before = trend;
      level = alpha * (value / now) + (1 - alpha) * (level_before + phi * trend_before);
      trend = beta * (level - level_before) + (1 - beta) * phi * trend_before;
      const double season = gamma * (value / (level_before + phi * trend_before)) + (1 - gamma) * now;
      value = (level + phi_sum * trend) * then;
      phi_sum += std::pow(phi, static_cast<double>(t));
      if (m != 0) {
        seasons[(t + shift) % m] = season;
        ++shift;
      }
      out[t] = value;
    }
    return out;
  }

  Vector fit() const {
    const std::size_t m = season_;
    double level = 0;
    double trend = 0;
    Vector seasons;
    if (m >= 2) {
      const auto width = static_cast<double>(m);
      for (std::size_t i = 0; i < m; ++i)
        if (!std::isnan(y_[i])) level += (1 / width) * y_[i];
      for (std::size_t i = 0; i < m && m + i < y_.size(); ++i)
        if (!std::isnan(y_[i]) && !std::isnan(y_[m + i])) trend += 1 / (width * width) * (y_[m + i] - y_[i]);
      for (std::size_t i = 0; i < m; ++i) seasons.push_back(std::isnan(y_[i]) ? 0 : y_[i] / level);
    } else {
      level = 0.5 * y_[0];
      if (!std::isnan(y_[1])) trend = 0.5 * (y_[1] - y_[0]);
    }
    const auto error = [this](Vector& parameters) {
      const Vector guess = forecast(0, parameters);
      double sum = 0;
      for (std::size_t i = 0; i < guess.size(); ++i) {
        if (std::isnan(y_[i])) continue;
        if (std::isnan(guess[i])) return std::numeric_limits<double>::infinity();
        sum += (guess[i] - y_[i]) * (guess[i] - y_[i]);
      }
      return sum;
    };
    Vector start{0, 0, 0, 0, level, trend};
    start.insert(start.end(), seasons.begin(), seasons.end());
    Vector best;
    double least = std::numeric_limits<double>::infinity();
    constexpr double kGuesses[] = {0.3, 0.3 + 0.4};
    for (const double alpha : kGuesses)
      for (const double beta : kGuesses)
        for (const double gamma : kGuesses)
          for (const double phi : kGuesses) {
            Vector point = start;
            point[0] = alpha, point[1] = beta, point[2] = gamma, point[3] = phi;
            const double found = minimize(error, point);
            if (found < least || best.empty()) least = found, best = std::move(point);
          }
    return best;
  }

 private:
  Vector y_;
  std::size_t season_;
};

std::int64_t rounded(std::int64_t time, std::int64_t width) {
  return (time / width + (time % width > width / 2 ? 1 : 0)) * width;
}

}  // namespace

Result<Points> holt_winters(const Expr& call, const Points& in, const Manner& manner) {
  DO(takes_type("holt_winters", in.value.type));
  Points out;
  out.value.type = DataType::float64;
  const auto ahead = static_cast<std::size_t>(call.args[1]->integer);
  const auto season = static_cast<std::size_t>(call.args[2]->integer);
  const bool with_fit = call.text == "holt_winters_with_fit";
  const std::int64_t width = manner.windows.interval.width;
  std::vector<std::size_t> rows;
  for (std::size_t row = 0; row < in.size(); ++row)
    if (in.value.has(row)) rows.push_back(row);
  if (rows.size() < 2 || (season >= 2 && rows.size() < season)) return out;
  const std::int64_t first = in.times[rows.front()];
  const std::int64_t last = in.times[rows.back()];
  const std::int64_t count = (rounded(last, width) - rounded(first, width)) / width;
  if (count <= 0) return out;
  if (static_cast<std::size_t>(count) + ahead > manner.max_points)
    return fail(ErrorCode::exhausted,
                call.text + "() would hold more than " + std::to_string(manner.max_points) + " windows");
  Vector y{in.value.number(rows[0])};
  std::int64_t at = rounded(first, width);
  for (std::size_t i = 1; i < rows.size(); ++i) {
    const std::int64_t time = rounded(in.times[rows[i]], width);
    if (time <= at) continue;
    for (at += width; at != time; at += width) y.push_back(std::nan(""));
    y.push_back(in.value.number(rows[i]));
  }
  const std::size_t known = y.size();
  if (season >= 2 && known < season) return out;
  const Forecaster forecaster(std::move(y), season);
  Vector parameters = forecaster.fit();
  const Vector values = forecaster.forecast(ahead, parameters);
  for (std::size_t i = with_fit ? 0 : known; i < values.size(); ++i) {
    if (std::isnan(values[i])) continue;
    const auto steps = static_cast<std::int64_t>(with_fit ? i : i - known + 1);
    out.times.push_back((with_fit ? first : last) + width * steps);
    out.value.add(to_cell(values[i]));
  }
  return out;
}

}  // namespace flux::query::influxql
