#include "process/validation.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>

#include "observe/json.h"

namespace flux::process {
namespace {

std::int64_t plus(std::int64_t time, std::int64_t duration) {
  std::int64_t sum = 0;
  if (__builtin_add_overflow(time, duration, &sum)) return duration < 0 ? INT64_MIN : INT64_MAX;
  return sum;
}

bool bit(const std::vector<std::uint64_t>& bits, std::size_t row) { return ((bits[row / 64] >> (row % 64)) & 1) != 0; }

// The loops that every reading goes through: no branch, so that they become vector instructions.

bool any_outside(std::span<const Cell> cells, double low, double high) {
  unsigned bad = 0;
  for (const Cell cell : cells) {
    const double value = as_float64(cell);
    bad |= static_cast<unsigned>(!((value >= low) & (value <= high)));  // NaN is neither
  }
  return bad != 0;
}

bool any_beyond(std::span<const Cell> cells, double low, double high) {
  unsigned bad = 0;
  for (const Cell cell : cells) {
    const double value = as_float64(cell);
    bad |= static_cast<unsigned>((value < low) | (value > high));
  }
  return bad != 0;
}

bool any_outside(std::span<const Cell> cells, std::int64_t low, std::int64_t high) {
  unsigned bad = 0;
  for (const Cell cell : cells) {
    const std::int64_t value = as_int64(cell);
    bad |= static_cast<unsigned>((value < low) | (value > high));
  }
  return bad != 0;
}

bool any_outside(std::span<const Cell> cells, std::uint64_t low, std::uint64_t high) {
  unsigned bad = 0;
  for (const Cell cell : cells) bad |= static_cast<unsigned>((cell < low) | (cell > high));
  return bad != 0;
}

bool any_longer(std::span<const Cell> cells, std::uint64_t most) {
  unsigned bad = 0;
  for (const Cell cell : cells) bad |= static_cast<unsigned>(as_string_ref(cell).length > most);
  return bad != 0;
}

bool suspicious(std::span<const Cell> cells, const FieldCheck& check) {
  switch (check.kind) {
    case FieldCheck::Kind::float64: return any_outside(cells, check.low, check.high);
    case FieldCheck::Kind::float64_or_non_finite: return any_beyond(cells, check.low, check.high);
    case FieldCheck::Kind::int64: return any_outside(cells, check.low_int, check.high_int);
    case FieldCheck::Kind::uint64: return any_outside(cells, check.low_uint, check.high_uint);
    case FieldCheck::Kind::string: return any_longer(cells, check.high_uint);
  }
  return false;
}

std::string number_text(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "infinity" : "-infinity";
  char text[32];
  return {text, std::to_chars(text, text + sizeof text, value).ptr};
}

struct Verdict {
  Reason reason = Reason::out_of_range;
  std::string value_json;
  std::string message;
};

/// Why this one value is refused; nothing when it is not.
std::optional<Verdict> judge(const TelemetryBatch& batch, Cell cell, const FieldCheck& check, const ShapePlan& plan) {
  const std::string& metric = plan.shape->fields()[check.field].name;
  const auto beyond = [&](bool below, std::string value) {
    const auto& rules = plan.device->profile->metrics;
    const auto rule = std::ranges::find_if(rules, [&](const auto& candidate) { return candidate.name == metric; });
    std::string message = metric + " " + value + (below ? " is below the minimum " : " is above the maximum ");
    const std::optional<double>& limit = below ? rule->min : rule->max;
    message += limit ? number_text(*limit) : "of its type";
    message += " of profile " + plan.device->profile->profile;
    return Verdict{Reason::out_of_range, std::move(value), std::move(message)};
  };
  switch (check.kind) {
    case FieldCheck::Kind::float64:
    case FieldCheck::Kind::float64_or_non_finite: {
      const double value = as_float64(cell);
      if (!std::isfinite(value)) {
        if (check.kind == FieldCheck::Kind::float64_or_non_finite) return std::nullopt;
        return Verdict{Reason::non_finite, "null", metric + " is " + number_text(value) + ", not a finite number"};
      }
      if (value < check.low || value > check.high) return beyond(value < check.low, number_text(value));
      return std::nullopt;
    }
    case FieldCheck::Kind::int64: {
      const std::int64_t value = as_int64(cell);
      if (value < check.low_int || value > check.high_int) return beyond(value < check.low_int, std::to_string(value));
      return std::nullopt;
    }
    case FieldCheck::Kind::uint64:
      if (cell > check.high_uint) return beyond(false, std::to_string(cell));
      if (cell < check.low_uint) return beyond(check.high_uint != 0, std::to_string(cell));
      return std::nullopt;
    case FieldCheck::Kind::string: {
      const std::string_view text = batch.string(cell);
      if (text.size() <= check.high_uint) return std::nullopt;
      Verdict verdict{Reason::too_large, {}, {}};
      constexpr std::size_t kShown = 64;
      observe::append_json_string(verdict.value_json, std::string(text.substr(0, kShown)) + "…");
      verdict.message = metric + " has " + std::to_string(text.size()) + " bytes, more than the " +
                        std::to_string(check.high_uint) + " allowed";
      return verdict;
    }
  }
  return std::nullopt;
}

}  // namespace

void Validation::apply(Work& work, Signals& signals) {
  const auto& rules = state_.rules();
  newest_ = plus(work.received_at.ns, rules.max_future.ns);
  oldest_ = rules.max_age.ns > 0 ? plus(work.received_at.ns, -rules.max_age.ns) : INT64_MIN;
  refused_.clear();
  const auto& groups = work.batch->groups();
  work.newest.resize(groups.size());
  for (std::size_t group = 0; group < groups.size(); ++group) {
    std::int64_t least = INT64_MAX;
    std::int64_t greatest = INT64_MIN;
    for (const std::int64_t time : work.batch->times(groups[group])) {
      least = std::min(least, time);
      greatest = std::max(greatest, time);
    }
    work.newest[group] = {greatest};
    if (least < oldest_ || greatest > newest_) check_times(work, group, signals);
    for (const FieldCheck& check : work.plans[group]->checks) {
      if (suspicious(work.batch->column(groups[group], check.field), check)) refuse_values(work, group, check, signals);
    }
  }
  if (!refused_.empty()) filter(work);
}

Validation::Refused& Validation::refused(const Work& work, std::size_t group) {
  if (!refused_.empty() && refused_.back().group == group) return refused_.back();
  Refused& fresh = refused_.emplace_back();
  const auto& held = work.batch->groups()[group];
  fresh.group = group;
  fresh.rows.resize(held.validity_words());
  fresh.fields.resize(held.shape().field_count());
  return fresh;
}

void Validation::check_times(const Work& work, std::size_t group, Signals& signals) {
  const auto& held = work.batch->groups()[group];
  const auto times = work.batch->times(held);
  const std::size_t fields = held.shape().field_count();
  Refused& bits = refused(work, group);
  for (std::size_t row = 0; row < times.size(); ++row) {
    if (times[row] >= oldest_ && times[row] <= newest_) continue;
    bits.rows[row / 64] |= 1ULL << (row % 64);
    std::size_t readings = 0;
    for (std::size_t field = 0; field < fields; ++field) readings += work.batch->has(held, field, row) ? 1 : 0;
    const bool future = times[row] > newest_;
    const Duration limit = future ? state_.rules().max_future : state_.rules().max_age;
    const std::string message = "the time " + to_rfc3339(Time{times[row]}) + " lies more than " + to_string(limit) +
                                (future ? " after" : " before") + " its arrival at " + to_rfc3339(work.received_at);
    signals.refuse_row(*work.plans[group]->device, Time{times[row]}, work.received_at, readings,
                       future ? Reason::clock_skew : Reason::too_old, message);
  }
}

void Validation::refuse_values(const Work& work, std::size_t group, const FieldCheck& check, Signals& signals) {
  const auto& held = work.batch->groups()[group];
  const auto times = work.batch->times(held);
  const auto cells = work.batch->column(held, check.field);
  const ShapePlan& plan = *work.plans[group];
  const bool rows_refused = !refused_.empty() && refused_.back().group == group;
  for (std::size_t row = 0; row < cells.size(); ++row) {
    // A missing value is a zero that means nothing, and a refused row has been answered for.
    if (!work.batch->has(held, check.field, row)) continue;
    if (rows_refused && bit(refused_.back().rows, row)) continue;
    const auto verdict = judge(*work.batch, cells[row], check, plan);
    if (!verdict) continue;
    Refused& bits = refused(work, group);
    if (bits.fields[check.field].empty()) bits.fields[check.field].resize(held.validity_words());
    bits.fields[check.field][row / 64] |= 1ULL << (row % 64);
    signals.refuse(*plan.device, Time{times[row]}, work.received_at, plan.shape->fields()[check.field].name,
                   verdict->value_json, verdict->reason, verdict->message);
  }
}

void Validation::filter(Work& work) {
  const TelemetryBatch& batch = *work.batch;
  std::vector<TelemetryBatch::GroupSpec> specs;
  std::vector<std::uint64_t> words;
  std::vector<ShapePlan*> plans;
  std::vector<Time> newest;
  words.reserve(batch.words().size() + 64);
  auto next = refused_.begin();
  for (std::size_t index = 0; index < batch.groups().size(); ++index) {
    const auto& group = batch.groups()[index];
    const std::size_t fields = group.shape().field_count();
    if (next == refused_.end() || next->group != index) {
      const std::uint64_t* first = reinterpret_cast<const std::uint64_t*>(batch.times(group).data());
      words.insert(words.end(), first, first + group.word_count());
      specs.push_back({group.shape_ptr(), static_cast<std::uint32_t>(group.rows()), group.has_validity()});
      plans.push_back(work.plans[index]);
      newest.push_back(work.newest[index]);
      continue;
    }
    const Refused& bits = *next++;
    const auto keeps = [&](std::size_t field, std::size_t row) {
      return batch.has(group, field, row) && (bits.fields[field].empty() || !bit(bits.fields[field], row));
    };
    std::vector<std::size_t> rows;
    bool gaps = false;
    for (std::size_t row = 0; row < group.rows(); ++row) {
      if (bit(bits.rows, row)) continue;
      std::size_t kept = 0;
      bool lost = false;
      for (std::size_t field = 0; field < fields; ++field) {
        kept += keeps(field, row) ? 1 : 0;
        lost |= batch.has(group, field, row) && !keeps(field, row);
      }
      if (kept == 0 && lost) continue;  // nothing of the row is left
      gaps |= kept < fields;
      rows.push_back(row);
    }
    if (rows.empty()) continue;
    Time greatest = Time::min();
    for (const std::size_t row : rows) {
      const std::int64_t time = batch.times(group)[row];
      greatest = std::max(greatest, Time{time});
      words.push_back(static_cast<std::uint64_t>(time));
    }
    for (std::size_t field = 0; field < fields; ++field)
      for (const std::size_t row : rows) words.push_back(keeps(field, row) ? batch.column(group, field)[row] : 0);
    if (gaps) {
      for (std::size_t field = 0; field < fields; ++field) {
        const std::size_t at = words.size();
        words.resize(at + (rows.size() + 63) / 64);
        for (std::size_t i = 0; i < rows.size(); ++i)
          if (keeps(field, rows[i])) words[at + i / 64] |= 1ULL << (i % 64);
      }
    }
    specs.push_back({group.shape_ptr(), static_cast<std::uint32_t>(rows.size()), gaps});
    plans.push_back(work.plans[index]);
    newest.push_back(greatest);
  }
  work.plans = std::move(plans);
  work.newest = std::move(newest);
  if (specs.empty()) {
    work.batch = nullptr;
    return;
  }
  auto rest =
      TelemetryBatch::assemble(std::move(specs), std::move(words), std::string(batch.heap()), batch.received_at());
  CHECK_MSG(rest.has_value(), rest.error().message);
  work.batch = *std::move(rest);
}

}  // namespace flux::process
