#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>

#include "core/result.h"
#include "observe/metrics.h"

namespace flux::metrics {

namespace {

enum class Type : std::uint8_t { counter, gauge, histogram };

std::string_view word_for(Type type) {
  switch (type) {
    case Type::counter: return "counter";
    case Type::gauge: return "gauge";
    case Type::histogram: return "histogram";
  }
  return "untyped";
}

bool is_snake_case(std::string_view name) {
  const auto allowed = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'; };
  return !name.empty() && name.front() >= 'a' && name.front() <= 'z' && std::ranges::all_of(name, allowed);
}

void check_name(std::string_view name, std::string_view help, Type type) {
  const bool ours = name.starts_with("fluxgate_") || name.starts_with("process_");
  CHECK_MSG(is_snake_case(name) && ours, name);
  CHECK_MSG(name.ends_with("_total") == (type == Type::counter), name);
  CHECK_MSG(!help.empty(), name);
}

void append_escaped(std::string& out, std::string_view text, bool quotes) {
  for (const char c : text) {
    if (c == '\\') out += "\\\\";
    else if (c == '\n') out += "\\n";
    else if (c == '"' && quotes) out += "\\\"";
    else out += c;
  }
}

/// `a="1",b="2"`: the same text for the same labels in any order.
std::string label_text(Labels labels) {
  std::vector<std::pair<std::string_view, std::string_view>> sorted(labels);
  std::ranges::sort(sorted);
  std::string text;
  for (const auto& [name, value] : sorted) {
    CHECK_MSG(is_snake_case(name) && name != "le", name);
    if (!text.empty()) text += ',';
    text += name;
    text += "=\"";
    append_escaped(text, value, true);
    text += '"';
  }
  return text;
}

void append_number(std::string& out, double value) {
  if (std::isnan(value)) {
    out += "NaN";
  } else if (std::isinf(value)) {
    out += value > 0 ? "+Inf" : "-Inf";
  } else {
    std::array<char, 32> text;
    out.append(text.data(), std::to_chars(text.data(), text.data() + text.size(), value).ptr);
  }
}

struct Sample {
  std::unique_ptr<Counter> counter;
  std::unique_ptr<Gauge> gauge;
  std::unique_ptr<Histogram> histogram;
  std::function<double()> read;
  std::uint64_t id = 0;  ///< of the Registration, where `read` is set

  [[nodiscard]] double value() const {
    if (counter) return static_cast<double>(counter->value());
    if (gauge) return gauge->value();
    return read ? read() : 0;
  }
};

void append_sample(std::string& out, std::string_view name, std::string_view suffix, std::string_view labels,
                   std::string_view last_label, double value) {
  out += name;
  out += suffix;
  if (!labels.empty() || !last_label.empty()) {
    out += '{';
    out += labels;
    if (!labels.empty() && !last_label.empty()) out += ',';
    out += last_label;
    out += '}';
  }
  out += ' ';
  append_number(out, value);
  out += '\n';
}

void append_histogram(std::string& out, std::string_view name, std::string_view labels, const Histogram& histogram) {
  const Histogram::Snapshot snapshot = histogram.snapshot();
  std::uint64_t cumulative = 0;
  for (std::size_t bucket = 0; bucket < snapshot.bounds.size(); ++bucket) {
    cumulative += snapshot.counts[bucket];
    std::string le = "le=\"";
    append_number(le, snapshot.bounds[bucket]);
    append_sample(out, name, "_bucket", labels, le + "\"", static_cast<double>(cumulative));
  }
  append_sample(out, name, "_bucket", labels, "le=\"+Inf\"", static_cast<double>(snapshot.count));
  append_sample(out, name, "_sum", labels, {}, snapshot.sum);
  append_sample(out, name, "_count", labels, {}, static_cast<double>(snapshot.count));
}

}  // namespace

struct Registry::State {
  struct Family {
    Type type;
    std::string help;
    std::map<std::string, Sample, std::less<>> samples;  ///< by label text
  };

  Sample& sample(std::string_view name, std::string_view help, Type type, Labels labels) {
    check_name(name, help, type);
    auto family = families.find(name);
    if (family == families.end()) family = families.emplace(name, Family{type, std::string(help), {}}).first;
    CHECK_MSG(family->second.type == type && family->second.help == help, name);
    return family->second.samples[label_text(labels)];
  }

  Registration callback(Registry& owner, Type type, std::string_view name, std::string_view help, Labels labels,
                        std::function<double()> read) {
    const std::scoped_lock lock(mutex);
    Sample& added = sample(name, help, type, labels);
    CHECK_MSG(!added.counter && !added.gauge && !added.read, name);
    added.read = std::move(read);
    added.id = ++last_id;
    return Registration(owner, added.id);
  }

  mutable std::mutex mutex;
  std::map<std::string, Family, std::less<>> families;
  std::uint64_t last_id = 0;
};

Registration::Registration(Registration&& other) noexcept
    : registry_(std::exchange(other.registry_, nullptr)), id_(other.id_) {}

Registration& Registration::operator=(Registration&& other) noexcept {
  if (registry_ != nullptr) registry_->remove(id_);
  registry_ = std::exchange(other.registry_, nullptr);
  id_ = other.id_;
  return *this;
}

Registration::~Registration() {
  if (registry_ != nullptr) registry_->remove(id_);
}

Registry::Registry() : state_(std::make_unique<State>()) {}
Registry::~Registry() = default;

Counter& Registry::counter(std::string_view name, std::string_view help, Labels labels) {
  const std::scoped_lock lock(state_->mutex);
  Sample& sample = state_->sample(name, help, Type::counter, labels);
  CHECK_MSG(!sample.read, name);
  if (!sample.counter) sample.counter = std::make_unique<Counter>();
  return *sample.counter;
}

Gauge& Registry::gauge(std::string_view name, std::string_view help, Labels labels) {
  const std::scoped_lock lock(state_->mutex);
  Sample& sample = state_->sample(name, help, Type::gauge, labels);
  CHECK_MSG(!sample.read, name);
  if (!sample.gauge) sample.gauge = std::make_unique<Gauge>();
  return *sample.gauge;
}

Histogram& Registry::histogram(std::string_view name, std::string_view help, const Buckets& buckets, Labels labels) {
  const std::scoped_lock lock(state_->mutex);
  Sample& sample = state_->sample(name, help, Type::histogram, labels);
  if (!sample.histogram) sample.histogram = std::make_unique<Histogram>(buckets);
  return *sample.histogram;
}

Registration Registry::callback_gauge(std::string_view name, std::string_view help, Labels labels,
                                      std::function<double()> read) {
  return state_->callback(*this, Type::gauge, name, help, labels, std::move(read));
}

Registration Registry::callback_counter(std::string_view name, std::string_view help, Labels labels,
                                        std::function<double()> read) {
  return state_->callback(*this, Type::counter, name, help, labels, std::move(read));
}

void Registry::remove(std::uint64_t id) {
  const std::scoped_lock lock(state_->mutex);
  for (auto family = state_->families.begin(); family != state_->families.end(); ++family) {
    auto& samples = family->second.samples;
    const auto removed = std::erase_if(samples, [id](const auto& entry) { return entry.second.id == id; });
    if (removed == 0) continue;
    if (samples.empty()) state_->families.erase(family);
    return;
  }
}

std::string Registry::render() const {
  const std::scoped_lock lock(state_->mutex);
  std::string out;
  for (const auto& [name, family] : state_->families) {
    out += "# HELP " + name + " ";
    append_escaped(out, family.help, false);
    out += "\n# TYPE " + name + " ";
    out += word_for(family.type);
    out += '\n';
    for (const auto& [labels, sample] : family.samples) {
      if (sample.histogram) append_histogram(out, name, labels, *sample.histogram);
      else append_sample(out, name, {}, labels, {}, sample.value());
    }
  }
  return out;
}

double Registry::value(std::string_view name, Labels labels) const {
  const std::scoped_lock lock(state_->mutex);
  const auto family = state_->families.find(name);
  if (family == state_->families.end()) return 0;
  const auto sample = family->second.samples.find(label_text(labels));
  return sample == family->second.samples.end() ? 0 : sample->second.value();
}

}  // namespace flux::metrics
