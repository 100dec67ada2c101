#include <chrono>
#include <csignal>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <thread>

#include "app/client/complain.h"
#include "app/commands.h"

namespace flux::app {
namespace {

using nlohmann::json;

constexpr std::chrono::milliseconds kPause(100);

volatile std::sig_atomic_t interrupted = 0;

/// `delivered  2026-01-01T00:00:00.2Z`, with what the device said behind it.
void print_state(const json& command) {
  const std::string state = command.at("state").get<std::string>();
  const char* field = "finished_at";
  if (state == "queued") field = "created_at";
  if (state == "sent") field = "sent_at";
  if (state == "delivered") field = "delivered_at";
  std::string line = state + std::string(state.size() < 11 ? 11 - state.size() : 1, ' ');
  if (command.at(field).is_string()) line += command.at(field).get<std::string>();
  if (command.at("reason").is_string()) line += "  " + command.at("reason").get<std::string>();
  if (!command.at("result").is_null()) line += "  " + command.at("result").dump();
  std::printf("%s\n", line.c_str());
  std::fflush(stdout);
}

}  // namespace

int command_send(const CommandSendOptions& options) {
  auto connection = resolve(options.connection);
  if (!connection) return complain_about(connection.error());
  json body{{"device", options.device}, {"name", options.name}, {"response", !options.one_way}};
  if (options.payload) {
    body["payload"] = json::parse(*options.payload, nullptr, false);
    if (body["payload"].is_discarded())
      return complain_about({ErrorCode::invalid_argument, "'" + *options.payload + "' is not JSON", "payload"});
  }
  if (options.ttl) body["ttl"] = *options.ttl;
  ApiClient client(*std::move(connection));
  const auto sent = client.post("/api/v1/commands", body.dump());
  if (!sent) return complain_about(sent.error());
  json command = json::parse(*sent).at("commands").at(0);
  const std::string id = command.at("id").get<std::string>();
  std::signal(SIGINT, [](int) { interrupted = 1; });
  std::signal(SIGTERM, [](int) { interrupted = 1; });
  std::string printed;
  for (;;) {
    const std::string state = command.at("state").get<std::string>();
    if (state != printed && !options.json) print_state(command);
    printed = state;
    if (command.at("finished").get<bool>()) break;
    if (interrupted != 0) {
      std::fprintf(stderr, "fluxgate: command %s goes on without this program\n", id.c_str());
      return 1;
    }
    std::this_thread::sleep_for(kPause);
    const auto now = client.get("/api/v1/commands/" + id);
    if (!now) return complain_about(now.error());
    command = json::parse(*now);
  }
  if (options.json) std::printf("%s\n", command.dump().c_str());
  return printed == "succeeded" || (options.one_way && printed == "delivered") ? 0 : 1;
}

}  // namespace flux::app
