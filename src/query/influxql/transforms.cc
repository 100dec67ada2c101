#include <cmath>
#include <cstdlib>
#include <vector>

#include "query/influxql/functions.h"

namespace flux::query::influxql {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000;

double on_line(std::int64_t at, std::int64_t t0, std::int64_t t1, double v0, double v1) {
  const double slope = (v1 - v0) / static_cast<double>(t1 - t0);
  return slope * static_cast<double>(at - t0) + v0;
}

/// The unit that a call names in its second argument.
std::int64_t unit_of(const Expr& call, std::int64_t otherwise) {
  return call.args.size() == 2 ? call.args[1]->integer : otherwise;
}

Cell difference_of(DataType type, Cell a, Cell b) {
  if (type == DataType::float64) return to_cell(as_float64(a) - as_float64(b));
  return a - b;
}

bool is_negative(DataType type, Cell after, Cell before) {
  if (type == DataType::float64) return as_float64(after) - as_float64(before) < 0;
  if (type == DataType::int64) return as_int64(after - before) < 0;
  return after < before;
}

/// derivative, difference and elapsed: what two neighbours in time give.
class Neighbours {
 public:
  Neighbours(const Expr& call, const Points& in, const Manner& manner)
      : call_(call), in_(in), manner_(manner), non_negative_(call.text.starts_with("non_negative")) {}

  Points run() {
    const bool derivative = call_.text.ends_with("derivative");
    const bool difference = call_.text.ends_with("difference");
    out_.value.type = derivative ? DataType::float64 : difference ? in_.value.type : DataType::int64;
    const std::int64_t width = manner_.windows.interval.width;
    unit_ = unit_of(call_, derivative ? (width > 0 ? width : kSecond) : 1);
    bool any = false;
    std::size_t before = 0;
    std::size_t now = 0;
    for (std::size_t row = 0; row < in_.size(); ++row) {
      if (!in_.value.has(row)) continue;
      if (call_.text == "elapsed") {
        if (any) give(row, to_cell((in_.times[row] - in_.times[now]) / unit_));
        now = row;
        any = true;
        continue;
      }
      if (any && in_.times[now] == in_.times[row]) continue;  // of several points at one time the first counts
      before = now;
      now = row;
      if (!any) {
        any = true;
        continue;
      }
      if (derivative) derive(before, now);
      else subtract(before, now);
    }
    return std::move(out_);
  }

 private:
  void give(std::size_t row, Cell value) {
    out_.times.push_back(in_.times[row]);
    out_.value.add(value);
  }
  void derive(std::size_t before, std::size_t now) {
    double diff = in_.value.number(now) - in_.value.number(before);
    if (in_.value.type == DataType::int64)
      diff = static_cast<double>(as_int64(in_.value.cells[now] - in_.value.cells[before]));
    if (non_negative_ && diff < 0) return;
    std::int64_t elapsed = in_.times[now] - in_.times[before];
    if (!manner_.ascending) elapsed = -elapsed;
    give(now, to_cell(diff / (static_cast<double>(elapsed) / static_cast<double>(unit_))));
  }
  void subtract(std::size_t before, std::size_t now) {
    const Cell a = in_.value.cells[now];
    const Cell b = in_.value.cells[before];
    if (non_negative_ && is_negative(in_.value.type, a, b)) return;
    give(now, difference_of(in_.value.type, a, b));
  }

  const Expr& call_;
  const Points& in_;
  const Manner& manner_;
  const bool non_negative_;
  std::int64_t unit_ = 1;
  Points out_;
};

Points moving_average(const Expr& call, const Points& in) {
  Points out;
  out.value.type = DataType::float64;
  const auto wanted = static_cast<std::size_t>(call.args[1]->integer);
  std::vector<std::size_t> held;  // a ring once it is full
  std::size_t at = 0;
  double total = 0;
  std::uint64_t whole = 0;
  const bool fraction = in.value.type == DataType::float64;
  for (std::size_t row = 0; row < in.size(); ++row) {
    if (!in.value.has(row)) continue;
    if (held.size() < wanted) {
      held.push_back(row);
    } else {
      if (fraction) total -= in.value.number(held[at]);
      else whole -= in.value.cells[held[at]];
      held[at] = row;
    }
    if (fraction) total += in.value.number(row);
    else whole += in.value.cells[row];
    at = (at + 1) % wanted;
    if (held.size() < wanted) continue;
    const double sum = fraction                           ? total
                       : in.value.type == DataType::int64 ? static_cast<double>(static_cast<std::int64_t>(whole))
                                                          : static_cast<double>(whole);
    out.times.push_back(in.times[row]);
    out.value.add(to_cell(sum / static_cast<double>(wanted)));
  }
  return out;
}

Points cumulative_sum(const Points& in) {
  Points out;
  out.value.type = in.value.type;
  double total = 0;
  std::uint64_t whole = 0;
  for (std::size_t row = 0; row < in.size(); ++row) {
    if (!in.value.has(row)) continue;
    total += in.value.number(row);
    whole += in.value.cells[row];
    out.times.push_back(in.times[row]);
    out.value.add(in.value.type == DataType::float64 ? to_cell(total) : whole);
  }
  return out;
}

Cell converted(const Expr& literal, DataType type) {
  const bool fraction = literal.is(Expr::Kind::number);
  if (type == DataType::float64) return to_cell(fraction ? literal.number : static_cast<double>(literal.integer));
  const std::int64_t whole = fraction ? cut_to_int64(literal.number) : literal.integer;
  return to_cell(whole);
}

}  // namespace

Result<Points> stream(const Expr& call, const Points& points, const Manner& manner) {
  DO(takes_type(call.text, points.value.type));
  if (call.text == "moving_average") return moving_average(call, points);
  if (call.text == "cumulative_sum") return cumulative_sum(points);
  return Neighbours(call, points, manner).run();
}

Result<Points> fill_windows(Points in, const Expr& call, const Manner& manner) {
  const Windows& windows = manner.windows;
  const std::int64_t width = windows.interval.width;
  if (in.times.empty()) return in;
  const bool up = manner.ascending;
  const std::int64_t first = windows.at(up ? windows.from : windows.to).start;
  const std::int64_t last = windows.at(up ? windows.to : windows.from).start;
  std::int64_t at = up && windows.from <= kMinTime ? in.times.front() : first;
  const bool open_end = !up && windows.from <= kMinTime;  // downwards without an end: only between the points
  const bool counted = call.text == "count" && manner.fill == FillOption::null;
  const bool number = manner.fill == FillOption::number || counted;
  const Cell filler = counted ? 0 : number ? converted(*manner.fill_value, in.value.type) : 0;
  const bool takes_number =
      in.value.type == DataType::float64 || in.value.type == DataType::int64 || in.value.type == DataType::uint64;

  Points out;
  out.value.type = in.value.type;
  out.aux.resize(in.aux.size());
  for (std::size_t i = 0; i < in.aux.size(); ++i) out.aux[i].type = in.aux[i].type;
  std::int64_t zone = windows.offset(at);
  std::size_t next = 0;
  std::optional<std::size_t> before;
  const auto gap = [&] {
    out.times.push_back(at);
    for (Column& aux : out.aux) aux.add_missing();
    if (number && (takes_number || !counted)) {
      if (takes_number) out.value.add(filler);
      else if (in.value.type == DataType::boolean) out.value.add(0);
      else out.value.add_missing();
    } else if (manner.fill == FillOption::previous && before) {
      out.value.add_from(in.value, *before);
    } else if (manner.fill == FillOption::linear && before && next < in.size() && takes_number) {
      const std::int64_t t0 = in.times[*before] / width;
      const std::int64_t t1 = in.times[next] / width;
      if (in.value.type == DataType::float64) {
        out.value.add(to_cell(on_line(at / width, t0, t1, in.value.number(*before), in.value.number(next))));
      } else {
        const auto rise = in.value.type == DataType::int64
                              ? static_cast<double>(as_int64(in.value.cells[next] - in.value.cells[*before]))
                              : static_cast<double>(in.value.cells[next] - in.value.cells[*before]);
        const double slope = rise / static_cast<double>(t1 - t0);
        out.value.add(to_cell(cut_to_int64(slope * static_cast<double>(at / width - t0) + in.value.number(*before))));
      }
    } else {
      out.value.add_missing();
    }
  };
  for (;;) {
    const bool inside = up ? at <= last : open_end ? next < in.size() : at >= last;
    if (next >= in.size() && !inside) break;
    if (out.size() > manner.max_points)
      return fail(ErrorCode::exhausted, "filling gives more than " + std::to_string(manner.max_points) +
                                            " windows: take a shorter range or wider windows");
    if (next < in.size() && (up ? in.times[next] <= at : in.times[next] >= at)) {
      out.times.push_back(in.times[next]);
      out.value.add_from(in.value, next);
      for (std::size_t i = 0; i < out.aux.size(); ++i) out.aux[i].add_from(in.aux[i], next);
      before = next++;
    } else {
      gap();
    }
    at += up ? width : -width;
    if (windows.zone) {
      if (const std::int64_t there = windows.offset(at - 1); there != zone) {
        if (std::abs(zone - there) < width) at += zone - there;
        zone = there;
      }
    }
  }
  return out;
}

Result<Points> integral(const Expr& call, const Points& in, const Manner& manner) {
  DO(takes_type("integral", in.value.type));
  Points out;
  out.value.type = DataType::float64;
  const auto unit = static_cast<double>(unit_of(call, kSecond));
  const bool windowed = !manner.windows.interval.none();
  const bool up = manner.ascending;
  bool any = false;
  double sum = 0;
  double value_before = 0;
  std::int64_t time_before = 0;
  Windows::Window window{0, 0};
  const auto enter = [&](std::int64_t time) {
    window = manner.windows.at(time);
    if (!up) std::swap(window.start, window.end);
  };
  const auto give = [&] {
    out.times.push_back(window.start);
    out.value.add(to_cell(sum));
  };
  for (std::size_t row = 0; row < in.size(); ++row) {
    if (!in.value.has(row)) continue;
    const std::int64_t time = in.times[row];
    double value = in.value.number(row);
    if (!any) {
      any = true;
      if (windowed) enter(time);
    } else if (time != time_before) {
      if (windowed && (up ? time >= window.end : time <= window.end)) {
        if (time_before != window.end) {
          const double edge = on_line(window.end, time_before, time, value_before, value);
          sum += 0.5 * (edge + value_before) * (static_cast<double>(window.end - time_before) / unit);
          // InfluxDB goes on with the edge's value; of whole numbers it forgets both ends.
          if (in.value.type == DataType::float64) value_before = edge;
          else value = edge;
          time_before = window.end;
        }
        give();
        enter(time);
        sum = 0;
      }
      sum += 0.5 * (value + value_before) * (static_cast<double>(time - time_before) / unit);
    }
    time_before = time;
    value_before = in.value.number(row);
  }
  if (any && time_before != window.start) give();
  return out;
}

}  // namespace flux::query::influxql
