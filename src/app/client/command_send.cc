#include <chrono>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <thread>

#include "app/client/terminal.h"
#include "app/commands.h"

namespace flux::app {
namespace {

using nlohmann::json;

constexpr std::chrono::milliseconds kPause(100);

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
  std::printf("%s\n", seen(line).c_str());
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
  watch_interrupts();
  std::string printed;
  for (;;) {
    const std::string state = command.at("state").get<std::string>();
    if (state != printed && !options.json) print_state(command);
    printed = state;
    if (command.at("finished").get<bool>()) break;
    if (interrupted()) {
      remark("fluxgate: command " + id + " goes on without this program");
      return 1;
    }
    std::this_thread::sleep_for(kPause);
    const auto now = client.get("/api/v1/commands/" + id);
    if (!now) return complain_about(now.error());
    command = json::parse(*now);
  }
  if (options.json) print_json(command.dump());
  return printed == "succeeded" || (options.one_way && printed == "delivered") ? 0 : 1;
}

}  // namespace flux::app
