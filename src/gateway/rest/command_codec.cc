#include "gateway/rest/command_codec.h"

#include "gateway/json_input.h"
#include "gateway/json_text.h"
#include "observe/json.h"

namespace flux::gateway {
namespace {

using observe::append_json_string;

void append_moment(std::string& out, std::string_view name, const std::optional<Time>& time, Epoch epoch) {
  out.append(",\"").append(name).append("\":");
  if (time) append_time(out, *time, epoch);
  else out += "null";
}

}  // namespace

void append_command(std::string& out, const control::Command& command, Epoch epoch) {
  out += R"({"id":)";
  append_json_string(out, command.id);
  out += R"(,"device":)";
  append_json_string(out, command.device);
  out += R"(,"name":)";
  append_json_string(out, command.name);
  out += R"(,"payload":)";
  out += command.payload;
  out += R"(,"response":)";
  out += command.response ? "true" : "false";
  out += R"(,"sender":)";
  append_json_string(out, command.sender);
  out += R"(,"state":")";
  out += to_string(command.state);
  out += R"(","finished":)";
  out += command.finished() ? "true" : "false";
  append_moment(out, "created_at", command.created_at, epoch);
  append_moment(out, "expires_at", command.expires_at, epoch);
  append_moment(out, "sent_at", command.sent_at, epoch);
  append_moment(out, "delivered_at", command.delivered_at, epoch);
  append_moment(out, "finished_at", command.finished_at, epoch);
  out += R"(,"deliveries":)";
  append_integer(out, std::uint64_t{command.deliveries});
  out += R"(,"result":)";
  out += command.result.value_or("null");
  out += R"(,"reason":)";
  if (command.reason.empty()) out += "null";
  else append_json_string(out, command.reason);
  out += '}';
}

std::string command_event(const control::Command& command) {
  std::string out = R"({"id":)";
  append_json_string(out, "command-" + command.id + "-" + std::string(to_string(command.state)) + "-" +
                              std::to_string(command.deliveries));
  out += R"(,"time":)";
  append_time(out, wall_now(), Epoch::rfc3339);
  out += R"(,"device":)";
  append_json_string(out, command.device);
  out += R"(,"type":"command","message":)";
  append_json_string(out, "command " + command.name + ": " + std::string(to_string(command.state)));
  out += R"(,"details":)";
  append_command(out, command, Epoch::rfc3339);
  out += '}';
  return out;
}

Result<control::Commands::Request> parse_command_request(std::string_view body) {
  TRY(const auto input, JsonObject::parse(body));
  DO(input.only({"device", "devices", "name", "payload", "ttl", "response", "key"}));
  control::Commands::Request request;
  TRY(const auto device, input.text("device"));
  TRY(request.devices, input.texts("devices"));
  if (device && input.has("devices"))
    return fail(ErrorCode::invalid_argument, "expected either device or devices", "devices");
  if (!device && !input.has("devices"))
    return fail(ErrorCode::invalid_argument, "expected a device's id: it is missing", "device");
  if (device) request.devices = {*device};
  TRY(request.name, input.required_text("name"));
  if (std::string payload = input.dump("payload"); !payload.empty()) request.payload = std::move(payload);
  TRY(request.ttl, input.duration("ttl"));
  TRY(const auto response, input.boolean("response"));
  request.response = response.value_or(true);
  TRY(auto key, input.text("key"));
  if (key && key->empty()) return fail(ErrorCode::invalid_argument, "expected 1 to 200 bytes", "key");
  request.key = std::move(key).value_or("");
  return request;
}

}  // namespace flux::gateway
