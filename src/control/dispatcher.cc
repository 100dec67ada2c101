#include "control/dispatcher.h"

#include <algorithm>
#include <charconv>
#include <unordered_set>

#include "auth/secrets.h"
#include "control/lanes.h"
#include "control/schema.h"
#include "observe/log.h"
#include "runtime/completion.h"

namespace flux::control {
namespace {

using store::Session;

constexpr Duration kRetry = 1_s;
/// The wall clock may be set: no timer trusts it for longer.
constexpr Duration kLongestWait = 15_s;
constexpr std::size_t kExpireAtOnce = 500;
constexpr std::size_t kForgetAtOnce = 1'000;
constexpr std::size_t kNameBytes = 128;
constexpr std::size_t kKeyBytes = 200;

log::Throttle record_throttle(1_min);

}  // namespace

/// Shared with what the database still has to do.
struct Dispatcher::Core : std::enable_shared_from_this<Core> {
  using Step = std::function<Result<>(Session&, Changes&)>;

  Core(Parts p, const Config& c) : parts(p), config(c), metrics(p.metrics) {}

  Parts parts;
  Config config;
  Metrics metrics;
  std::function<void(const Command&)> changed;
  /// What belongs to one shard.
  struct Local {
    std::unique_ptr<Lanes> lanes;
    std::vector<Step> unsaved;  // words of devices that the database did not take yet
    runtime::Timer retry;
  };
  std::vector<Local> locals;

  // Of the home shard:
  runtime::Timer expiry;
  std::optional<Time> armed;
  runtime::Timer tidy;
  bool running = false;

  [[nodiscard]] std::size_t shard_of(TenantId tenant, const std::string& device) const {
    return bucket_of(tenant, device).value % parts.shards.size();
  }
  template <class Task>
  void on_lanes(TenantId tenant, const std::string& device, Task task) {
    const std::size_t index = shard_of(tenant, device);
    parts.shards[index].post(
        [self = shared_from_this(), index, task = std::move(task)]() mutable { task(*self->locals[index].lanes); });
  }

  /// On the database's thread, after a commit.
  void publish(const Changes& changes) {
    for (const Change& change : changes) {
      metrics.count(change);
      const Command& command = change.after;
      if (command.state == State::queued) {
        on_lanes(command.tenant, command.device,
                 [tenant = command.tenant, device = command.device](Lanes& l) { l.wake(tenant, device); });
        parts.shards[0].post([self = shared_from_this(), due = command.expires_at] { self->arm(due); });
      } else if (command.delivered_at || command.finished()) {
        on_lanes(command.tenant, command.device,
                 [tenant = command.tenant, device = command.device, id = command.id](Lanes& l) {
                   l.settled(tenant, device, id);
                 });
      }
      if (changed) changed(command);
    }
  }

  /// Runs `work` in a transaction; its changes are told after the commit; resumes with what it returned.
  template <class T>
  Async<T> commit(std::function<Result<T>(Session&, Changes&)> work) {
    struct Outcome {
      std::optional<T> value;
      Changes changes;
    };
    const auto outcome = std::make_shared<Outcome>();
    runtime::Completion<T> completion;
    store::Database::Work run = [outcome, work = std::move(work)](Session& session) -> Result<> {
      outcome->changes.clear();
      TRY(outcome->value, work(session, outcome->changes));
      return {};
    };
    store::Database::Done done = [self = shared_from_this(), outcome, completion](Result<> result) {
      if (!result) {
        completion.resolve(std::unexpected(std::move(result).error()));
        return;
      }
      self->publish(outcome->changes);
      completion.resolve(std::move(*outcome->value));
    };
    parts.database.submit_write(std::move(run), std::move(done));
    co_return co_await completion;
  }

  /// The same without anybody waiting on a shard; `done` on the database's thread (or, when it takes nothing more, on
  /// this one).
  void record(Step step, std::function<void(const Result<>&)> done) {
    const auto changes = std::make_shared<Changes>();
    parts.database.submit_write(
        [changes, step](Session& session) -> Result<> {
          changes->clear();
          return step(session, *changes);
        },
        [self = shared_from_this(), changes, done = std::move(done)](const Result<>& result) {
          if (result) self->publish(*changes);
          if (done) done(result);
        });
  }

  /// Again and again until the database has taken it: what a device said is not forgotten while we run.
  void record_surely(std::size_t shard, Step step) {
    record(step, [self = shared_from_this(), shard, step](const Result<>& result) {
      if (result) return;
      self->metrics.retries.add();
      log::warn(record_throttle, "a device's word on a command waits for the database", {{"error", result.error()}});
      self->parts.shards[shard].post([self, shard, step] {
        Local& local = self->locals[shard];
        local.unsaved.push_back(step);
        if (!local.retry.active())
          local.retry = self->parts.shards[shard].call_after(kRetry, [core = self.get(), shard] {
            for (Step& again : std::exchange(core->locals[shard].unsaved, {}))
              core->record_surely(shard, std::move(again));
          });
      });
    });
  }

  // --- time; on the home shard ---

  void arm(Time due) {
    if (!running || (armed && *armed <= due && expiry.active())) return;
    armed = due;
    const Duration left = due - wall_now();
    expiry = parts.shards[0].call_after(std::clamp(left, Duration{1'000'000}, kLongestWait), [this] { run_expiry(); });
  }

  void run_expiry() {
    const auto next = std::make_shared<std::optional<Time>>();
    record(
        [next](Session& session, Changes& changes) -> Result<> {
          TRY(*next, table::expire(session, wall_now(), kExpireAtOnce, changes));
          return {};
        },
        [self = shared_from_this(), next](const Result<>& result) {
          self->parts.shards[0].post([self, next = result ? *next : std::optional(wall_now() + kRetry)] {
            self->armed.reset();
            if (next) self->arm(*next);
          });
        });
  }

  void run_tidy() {
    record(
        [keep = config.keep](Session& session, Changes&) -> Result<> {
          TRY(const auto gone, table::forget(session, wall_now() - keep, kForgetAtOnce));
          (void)gone;
          return {};
        },
        nullptr);
  }

  Result<> check(const Request& request) const;
};

Result<std::unique_ptr<Dispatcher>> Dispatcher::open(Parts parts, const Config& config) {
  DO(parts.database.migrate("control", migrations()));
  auto core = std::make_shared<Core>(parts, config);
  for (auto& shard : parts.shards) {
    const std::size_t index = shard->index();
    core->locals.emplace_back();
    core->locals.back().lanes = std::make_unique<Lanes>(
        *shard, core->metrics,
        [weak = std::weak_ptr(core), index](TenantId tenant, const std::string& device,
                                            std::function<void(Result<std::optional<Command>>)> done) {
          const auto self = weak.lock();
          if (!self) return;
          const auto next = std::make_shared<std::optional<Command>>();
          self->record(
              [next, tenant, device](Session& session, Changes& changes) -> Result<> {
                TRY(*next, table::take(session, tenant, device, wall_now(), changes));
                return {};
              },
              [self, index, next, done = std::move(done)](const Result<>& result) {
                Result<std::optional<Command>> answer = *next;
                if (!result) answer = std::unexpected(result.error());
                self->parts.shards[index].post([answer = std::move(answer), done] { done(answer); });
              });
        });
  }
  // Devices that were deleted while this did not run, and what waits from before.
  auto recover = [&core](Session& session) -> Result<> {
    Changes changes;
    TRY(const auto devices, table::waiting_devices(session));
    for (const auto& [tenant, device] : devices) {
      if (core->parts.directory.find(tenant, device)) continue;
      DO(table::cancel_all(session, tenant, device, Time::max(), wall_now(), changes));
    }
    TRY(const auto waiting, table::count_waiting(session));
    core->metrics.waiting[0]->set(static_cast<double>(waiting.queued));
    core->metrics.waiting[1]->set(static_cast<double>(waiting.sent));
    core->metrics.waiting[2]->set(static_cast<double>(waiting.delivered));
    return {};
  };
  DO(parts.database.write(std::move(recover)));
  return std::unique_ptr<Dispatcher>(new Dispatcher(std::move(core)));
}

Dispatcher::Dispatcher(std::shared_ptr<Core> core) : core_(std::move(core)) {}
Dispatcher::~Dispatcher() = default;

void Dispatcher::on_change(std::function<void(const Command&)> changed) { core_->changed = std::move(changed); }

// --- people ---

Result<> Dispatcher::Core::check(const Request& request) const {
  if (request.devices.empty()) return fail(ErrorCode::invalid_argument, "expected at least one device", "devices");
  if (request.devices.size() > config.targets)
    return fail(ErrorCode::too_large,
                std::to_string(request.devices.size()) + " devices, at most " + std::to_string(config.targets) +
                    " are taken (control.targets)",
                "devices");
  const bool one = request.devices.size() == 1;
  std::unordered_set<std::string_view> seen;
  for (std::size_t i = 0; i < request.devices.size(); ++i) {
    const std::string& device = request.devices[i];
    const std::string field = one ? "device" : "devices[" + std::to_string(i) + "]";
    if (!parts.directory.find(request.tenant, device))
      return fail(ErrorCode::not_found, "there is no device `" + device + "`", field);
    if (!seen.insert(device).second)
      return fail(ErrorCode::invalid_argument, "device `" + device + "` stands there twice", field);
  }
  if (request.name.empty() || request.name.size() > kNameBytes)
    return fail(ErrorCode::invalid_argument, "expected 1 to " + std::to_string(kNameBytes) + " bytes", "name");
  if (const auto bad = std::ranges::find_if(request.name, [](char c) { return static_cast<unsigned char>(c) < 0x20; });
      bad != request.name.end())
    return fail(ErrorCode::invalid_argument,
                "a control character at byte " + std::to_string(bad - request.name.begin()), "name");
  if (request.payload.size() > config.payload_bytes)
    return fail(ErrorCode::too_large,
                std::to_string(request.payload.size()) + " bytes, at most " +
                    std::to_string(std::uint64_t{config.payload_bytes}) + " are taken (control.payload_bytes)",
                "payload");
  if (request.ttl && (*request.ttl < 1_s || *request.ttl > config.ttl_max))
    return fail(ErrorCode::invalid_argument, "expected a duration between 1s and " + to_string(config.ttl_max), "ttl");
  if (request.key.size() > kKeyBytes)
    return fail(ErrorCode::invalid_argument, "at most " + std::to_string(kKeyBytes) + " bytes are taken", "key");
  return {};
}

Async<std::vector<Command>> Dispatcher::send(Request request) {
  const auto core = core_;
  CO_DO(core->check(request));
  const Time now = wall_now();
  table::NewCommands wanted{.tenant = request.tenant,
                            .devices = std::move(request.devices),
                            .name = std::move(request.name),
                            .payload = std::move(request.payload),
                            .response = request.response,
                            .sender = std::move(request.sender),
                            .key = std::move(request.key),
                            .digest = {},
                            .expires_at = now + request.ttl.value_or(core->config.ttl)};
  if (!wanted.key.empty()) {
    // Lengths before texts, so that two different requests never spell the same.
    std::string all = std::to_string(wanted.devices.size());
    for (const std::string& device : wanted.devices) all += ":" + std::to_string(device.size()) + ":" + device;
    for (const std::string* text : {&wanted.name, &wanted.payload})
      all += ":" + std::to_string(text->size()) + ":" + *text;
    all += wanted.response ? ":1:" : ":0:";
    if (request.ttl) all += std::to_string(request.ttl->ns);
    wanted.digest = auth::hash_token(all);
  }
  std::function<Result<std::vector<Command>>(Session&, Changes&)> work =
      [wanted = std::move(wanted), now, waiting = std::size_t{core->config.waiting_per_device}](
          Session& session, Changes& changes) { return table::create(session, wanted, waiting, now, changes); };
  co_return co_await core->commit<std::vector<Command>>(std::move(work));
}

Async<Command> Dispatcher::get(TenantId tenant, std::string id) {
  const auto core = core_;
  auto work = [tenant, id = std::move(id)](Session& session) { return table::get(session, tenant, id); };
  co_return co_await core->parts.database.read_async<Command>(std::move(work));
}

Async<Commands::List> Dispatcher::list(TenantId tenant, std::optional<std::string> device, std::optional<State> state,
                                       registry::Page page) {
  const auto core = core_;
  table::Filter filter{.tenant = tenant, .device = std::move(device), .state = state, .limit = page.limit + 1};
  if (!page.cursor.empty()) {
    const char* const end = page.cursor.data() + page.cursor.size();
    const auto read = std::from_chars(page.cursor.data(), end, filter.below);
    if (read.ec != std::errc() || read.ptr != end || filter.below > UINT64_MAX >> 1)
      co_return fail(ErrorCode::invalid_argument, "this is not a cursor of this list", "cursor");
  }
  auto work = [filter](Session& session) { return table::list(session, filter); };
  CO_TRY(auto commands, co_await core->parts.database.read_async<std::vector<Command>>(std::move(work)));
  List list{.commands = std::move(commands), .next = {}};
  if (list.commands.size() > page.limit) {
    list.commands.pop_back();
    list.next = std::to_string(list.commands.back().sequence);
  }
  co_return list;
}

Async<Command> Dispatcher::cancel(TenantId tenant, std::string id, std::string by) {
  const auto core = core_;
  std::function<Result<Command>(Session&, Changes&)> work = [tenant, id = std::move(id), by = std::move(by)](
                                                                Session& session, Changes& changes) {
    return table::cancel(session, tenant, id, by, wall_now(), changes);
  };
  co_return co_await core->commit<Command>(std::move(work));
}

// --- devices ---

void Dispatcher::attach(TenantId tenant, const std::string& device, LinkPtr link) {
  core_->on_lanes(tenant, device, [tenant, device, link = std::move(link)](Lanes& lanes) mutable {
    lanes.attach(tenant, device, std::move(link));
  });
}

void Dispatcher::detach(TenantId tenant, const std::string& device, LinkPtr link) {
  core_->on_lanes(tenant, device,
                  [tenant, device, link = std::move(link)](Lanes& lanes) { lanes.detach(tenant, device, link); });
}

void Dispatcher::received(TenantId tenant, const std::string& device, const std::string& id) {
  core_->record_surely(core_->shard_of(tenant, device),
                       [tenant, device, id, now = wall_now()](Session& session, Changes& changes) {
                         return table::received(session, tenant, device, id, now, changes);
                       });
}

void Dispatcher::refused(TenantId tenant, const std::string& device, const std::string& id, bool had,
                         const std::string& reason) {
  core_->record_surely(core_->shard_of(tenant, device),
                       [tenant, device, id, had, reason, now = wall_now()](Session& session, Changes& changes) {
                         return table::refused(session, tenant, device, id, had, reason, now, changes);
                       });
}

void Dispatcher::answered(TenantId tenant, const std::string& device, const std::string& id, Answer answer,
                          std::function<void(const Result<>&)> done) {
  if (answer.result && answer.result->size() > core_->config.payload_bytes)
    return done(fail(ErrorCode::too_large, "the result has " + std::to_string(answer.result->size()) +
                                               " bytes, at most " +
                                               std::to_string(std::uint64_t{core_->config.payload_bytes}) +
                                               " are taken (control.payload_bytes)"));
  core_->record(
      [tenant, device, id, answer = std::move(answer), now = wall_now()](Session& session, Changes& changes) {
        return table::answered(session, tenant, device, id, answer, now, changes);
      },
      std::move(done));
}

void Dispatcher::device_removed(TenantId tenant, const std::string& device) {
  // The caller may be the database's thread, which must not be asked from within.
  core_->parts.shards[0].post([core = core_, tenant, device, until = wall_now()] {
    core->record_surely(0, [tenant, device, until](Session& session, Changes& changes) {
      return table::cancel_all(session, tenant, device, until, wall_now(), changes);
    });
  });
}

// --- life ---

Async<void> Dispatcher::start() {
  core_->running = true;
  core_->run_expiry();
  core_->tidy = core_->parts.shards[0].call_every(1_h, [core = core_.get()] { core->run_tidy(); });
  core_->run_tidy();
  co_return {};
}

Async<void> Dispatcher::drain() { co_return {}; }

Async<void> Dispatcher::stop() {
  core_->running = false;
  core_->expiry.cancel();
  core_->tidy.cancel();
  for (std::size_t index = 0; index < core_->locals.size(); ++index) {
    runtime::Completion<> cleared;
    core_->parts.shards[index].post([core = core_, index, cleared] {
      core->locals[index].lanes->clear();
      core->locals[index].retry.cancel();
      cleared.resolve({});
    });
    CO_DO(co_await cleared);
  }
  co_return {};
}

}  // namespace flux::control
