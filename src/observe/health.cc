#include "observe/health.h"

#include <algorithm>

#include "observe/json.h"
#include "observe/log.h"

namespace flux::observe {
namespace {

void append_component(std::string& out, const Health::Component& component, bool with_detail, Epoch epoch) {
  append_json_string(out, component.name);
  out += R"(:{"status":")" + std::string(to_string(component.condition)) + '"';
  const auto text = [&out](std::string_view name, const std::string& value) {
    if (value.empty()) return;
    out.append(",\"").append(name).append("\":");
    append_json_string(out, value);
  };
  text("reason", component.reason);
  if (with_detail) text("detail", component.detail);
  out += R"(,"since":)";
  append_time(out, component.since, epoch);
  out += '}';
}

}  // namespace

std::string_view to_string(Condition condition) {
  switch (condition) {
    case Condition::ok: return "ok";
    case Condition::degraded: return "degraded";
    case Condition::failed: return "failed";
  }
  return "failed";
}

std::string_view to_string(Phase phase) {
  switch (phase) {
    case Phase::starting: return "starting";
    case Phase::serving: return "serving";
    case Phase::draining: return "draining";
  }
  return "starting";
}

void Health::ok(std::string_view component) { set(component, Condition::ok, {}, {}); }
void Health::degraded(std::string_view component, std::string_view reason, std::string_view detail) {
  set(component, Condition::degraded, reason, detail);
}
void Health::failed(std::string_view component, std::string_view reason, std::string_view detail) {
  set(component, Condition::failed, reason, detail);
}

void Health::set(std::string_view name, Condition condition, std::string_view reason, std::string_view detail) {
  const std::scoped_lock lock(mutex_);
  auto found = components_.find(name);
  if (found == components_.end()) {
    found = components_.emplace(name, Component{.name = std::string(name), .since = wall_now()}).first;
  }
  Component& component = found->second;
  if (component.condition != condition) {
    if (condition == Condition::ok)
      log::info("healthy again", {{"component", name}, {"was", component.reason}, {"since", component.since}});
    else
      log::warn("not healthy",
                {{"component", name}, {"status", to_string(condition)}, {"reason", reason}, {"detail", detail}});
    component.since = wall_now();
  }
  component.condition = condition;
  component.reason = reason;
  component.detail = detail;
}

void Health::set_phase(Phase phase) {
  const std::scoped_lock lock(mutex_);
  phase_ = phase;
}

Phase Health::phase() const {
  const std::scoped_lock lock(mutex_);
  return phase_;
}

Condition Health::worst() const {
  const std::scoped_lock lock(mutex_);
  Condition worst = Condition::ok;
  for (const auto& [name, component] : components_) worst = std::max(worst, component.condition);
  return worst;
}

bool Health::live() const { return worst() != Condition::failed; }
bool Health::ready() const { return phase() == Phase::serving && live(); }

std::vector<Health::Component> Health::components() const {
  const std::scoped_lock lock(mutex_);
  std::vector<Component> all;
  for (const auto& [name, component] : components_) all.push_back(component);
  return all;
}

std::string Health::to_json(Epoch epoch) const {
  std::string out = R"({"status":")" + std::string(to_string(worst())) + R"(","phase":")" +
                    std::string(to_string(phase())) + R"(","ready":)" + (ready() ? "true" : "false") +
                    R"(,"components":{)";
  bool first = true;
  for (const Component& component : components()) {
    if (!first) out += ',';
    first = false;
    append_component(out, component, true, epoch);
  }
  return out + "}}";
}

std::string Health::summary_json(std::string_view word, Epoch epoch) const {
  std::string out = R"({"status":")" + std::string(word) + '"';
  bool first = true;
  for (const Component& component : components()) {
    if (component.condition == Condition::ok) continue;
    out += first ? R"(,"components":{)" : ",";
    first = false;
    append_component(out, component, false, epoch);
  }
  return out + (first ? "}" : "}}");
}

}  // namespace flux::observe
