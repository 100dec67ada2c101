#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "core/epoch.h"
#include "core/time.h"

namespace flux::observe {

enum class Condition : std::uint8_t { ok, degraded, failed };
enum class Phase : std::uint8_t { starting, serving, draining };

std::string_view to_string(Condition condition);
std::string_view to_string(Phase phase);

/// How the parts of the system are, by name: what `/healthz`, `/readyz` and the admin page show. Any thread.
///
/// Live (`/healthz`) means that no part has failed beyond mending itself; ready (`/readyz`) that it is also past its
/// start and not draining. A degraded part keeps both green: it serves, with a reason that people should read.
class Health {
 public:
  struct Component {
    std::string name;
    Condition condition = Condition::ok;
    std::string reason;  ///< for everybody, so without names of files and hosts; empty when ok
    std::string detail;  ///< for those who are signed in; may be empty
    Time since;          ///< of the present condition
  };

  void ok(std::string_view component);
  void degraded(std::string_view component, std::string_view reason, std::string_view detail = {});
  void failed(std::string_view component, std::string_view reason, std::string_view detail = {});

  void set_phase(Phase phase);
  [[nodiscard]] Phase phase() const;

  [[nodiscard]] bool live() const;
  [[nodiscard]] bool ready() const;
  [[nodiscard]] Condition worst() const;
  [[nodiscard]] std::vector<Component> components() const;  ///< by name

  /// `{"status":"degraded","phase":"serving","ready":true,"components":{"bus":{"status":"ok","since":"…"},…}}`
  [[nodiscard]] std::string to_json(Epoch epoch = Epoch::rfc3339) const;
  /// For callers without a credential: `{"status":word}`, and those `components` that are not ok, without details.
  [[nodiscard]] std::string summary_json(std::string_view word, Epoch epoch = Epoch::rfc3339) const;

 private:
  void set(std::string_view component, Condition condition, std::string_view reason, std::string_view detail);

  mutable std::mutex mutex_;
  Phase phase_ = Phase::starting;
  std::map<std::string, Component, std::less<>> components_;
};

}  // namespace flux::observe
