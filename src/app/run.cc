#include <sys/resource.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <new>
#include <nlohmann/json.hpp>
#include <optional>
#include <system_error>

#include "app/commands.h"
#include "app/node.h"
#include "app/settings.h"
#include "app/version.h"
#include "core/whole_file.h"
#include "observe/log.h"

namespace flux::app {
namespace {

int complain(const Error& error) {
  std::fprintf(stderr, "fluxgate: %s\n", error.message.c_str());
  return error.code == ErrorCode::invalid_argument ? 2 : 1;
}

/// Settings of all sources; dedicated flags win over everything.
Result<> read_settings(Settings& settings, config::Registry& registry, const RunOptions& options) {
  DO(load(settings, registry, options.config));
  for (const auto& [key, text] : options.flags) DO(registry.set(key, text, "command line"));
  return settings.check(registry);
}

nlohmann::json addresses(const Node& node) {
  nlohmann::json found{{"pid", ::getpid()}};
  found["http"] = node.addresses().http;
  if (!node.addresses().mqtt.empty()) found["mqtt"] = node.addresses().mqtt;
  return found;
}

/// For this machine's commands: where the server is, and a token that makes them its administrator.
Result<> write_server_file(const std::filesystem::path& data_dir, Node& node) {
  nlohmann::json server = addresses(node);
  server["token"] = node.local_token();
  return write_file(data_dir / "server.json", server.dump(1) + "\n", 0600);
}

Result<> write_ready_file(const std::string& path, const Node& node) {
  nlohmann::json ready = addresses(node);
  ready["version"] = kVersion;
  return write_file(path, ready.dump() + "\n", 0644);
}

/// Who else reaches us: an open port that nobody was told of is a surprise.
void tell_reach(const Node::Addresses& addresses) {
  std::string settings;
  if (addresses.http_everywhere) settings = "http.host";
  if (addresses.mqtt_everywhere) settings.append(settings.empty() ? "" : ", ").append("ingest.mqtt.host");
  if (settings.empty()) return;
  std::printf("           and on every address of this machine (%s), in plain text without TLS\n", settings.c_str());
}

void greet(Node& node, const Settings& settings, RoleSet roles) {
  std::printf("Fluxgate %s\n", std::string(kVersion).c_str());
  if (roles.has(RoleId::gateway)) {
    std::printf("  web app  http://%s\n", node.addresses().http.c_str());
  } else {
    const bool telemetry = roles.has(RoleId::ingest);
    std::printf("  HTTP     http://%s (%s/healthz, /readyz, /metrics)\n", node.addresses().http.c_str(),
                telemetry ? "telemetry, " : "");
    std::printf("  web app  not served, nor the API: the role gateway does not run here\n");
  }
  if (!node.addresses().mqtt.empty()) std::printf("  MQTT     %s\n", node.addresses().mqtt.c_str());
  tell_reach(node.addresses());
  std::printf("  data     %s\n", settings.server.data_dir.c_str());
  if (settings.auth.mode == auth::Mode::open)
    std::printf("  access   open: everybody on this machine is the administrator (auth.mode=open)\n");
  if (const auto link = node.administrator_link())
    std::printf("\nOpen this link to become the administrator. It works once:\n\n  %s\n\n", link->c_str());
  std::fflush(stdout);
}

/// Connections and parts each hold a descriptor; the usual soft limit is for interactive programs.
void raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  (void)::setrlimit(RLIMIT_NOFILE, &limit);  // what we have then has to do
}

/// While it lives, a machine that gives no thread or no memory ends the process with a sentence instead of a core dump.
/// Not by unwinding: half-made services own threads, and nothing has been taken in yet that they would have to finish.
class StartGuard {
 public:
  StartGuard() : before_(std::set_terminate(&say_and_end)) {}
  ~StartGuard() { std::set_terminate(before_); }
  StartGuard(const StartGuard&) = delete;
  StartGuard& operator=(const StartGuard&) = delete;

 private:
  [[noreturn]] static void say_and_end() noexcept {
    try {
      if (const auto thrown = std::current_exception()) std::rethrow_exception(thrown);
    } catch (const std::bad_alloc&) {
      end("there is not enough memory to start; look at the limits (ulimit -v, the container's)", "");
    } catch (const std::system_error& error) {
      end("a thread cannot be started; look at the limits of processes and memory (ulimit -u, ulimit -v): ",
          error.code() == std::errc::resource_unavailable_try_again ? "the system gives no more" : error.what());
    } catch (...) {
    }
    std::abort();
  }
  [[noreturn]] static void end(const char* what, const char* detail) noexcept {
    std::fprintf(stderr, "fluxgate: %s%s\n", what, detail);
    std::_Exit(1);
  }

  const std::terminate_handler before_;
};

}  // namespace

int run(const RunOptions& options) {
  const auto roles = parse_roles(options.roles);
  if (!roles) return complain(roles.error());
  Node::Options node_options{.settings = {}, .roles = *roles, .demo = options.demo};
  config::Registry registry;
  if (auto read = read_settings(node_options.settings, registry, options); !read) return complain(read.error());
  const Settings settings = node_options.settings;
  raise_descriptor_limit();
  std::optional<StartGuard> starting(std::in_place);
  if (auto logging = log::start(settings.log); !logging) return complain(logging.error());

  auto node = Node::start(std::move(node_options));
  if (!node) {
    log::stop();
    return complain(node.error());
  }
  starting.reset();
  // Before anybody is told that it serves: whoever waits for the file may read the other one at once.
  auto told = write_server_file(settings.server.data_dir, **node);
  greet(**node, settings, *roles);
  if (told && !options.ready_file.empty()) told = write_ready_file(options.ready_file, **node);
  int status = 0;
  if (told) {
    (*node)->wait_for_signal();
    log::info("stopping");
  } else {
    status = complain(told.error());
  }
  std::error_code ignored;
  std::filesystem::remove(settings.server.data_dir / "server.json", ignored);
  if (auto stopped = (*node)->stop(); !stopped) {
    log::error("stopped before everything was finished", {{"error", stopped.error().message}});
    status = 1;
  }
  node->reset();
  log::stop();
  return status;
}

int print_version(bool json) {
  if (json) std::printf("%s\n", nlohmann::json{{"version", kVersion}}.dump().c_str());
  else std::printf("fluxgate %s\n", std::string(kVersion).c_str());
  return 0;
}

int config_check(const ConfigOptions& options) {
  Settings settings;
  config::Registry registry;
  auto read = load(settings, registry, options);
  if (read) read = settings.check(registry);
  if (!read) return complain(read.error());
  std::printf("the settings are right\n");
  return 0;
}

int config_print(const ConfigOptions& options, bool changed_only) {
  Settings settings;
  config::Registry registry;
  auto read = load(settings, registry, options);
  if (read) read = settings.check(registry);
  if (!read) return complain(read.error());
  std::fputs(registry.print(changed_only).c_str(), stdout);
  return 0;
}

int config_reference() {
  Settings settings;
  config::Registry registry;
  settings.bind(registry);
  std::fputs(registry.reference().c_str(), stdout);
  return 0;
}

}  // namespace flux::app
