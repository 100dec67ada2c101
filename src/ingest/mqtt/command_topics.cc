#include "ingest/mqtt/command_topics.h"

#include <nlohmann/json.hpp>

#include "observe/json.h"
#include "wire/json/json_check.h"

namespace flux::ingest::mqtt {
namespace {

using nlohmann::json;

constexpr std::string_view kDevices = "v1/devices/";
constexpr std::string_view kCommands = "/commands";
constexpr std::string_view kResponse = "/response";
constexpr std::size_t kNesting = 64;
constexpr std::size_t kReasonBytes = 1'000;

/// The part before `/…`, taken off `text`.
std::string_view take_level(std::string_view& text) {
  const std::string_view level = text.substr(0, text.find('/'));
  text.remove_prefix(std::min(text.size(), level.size()));
  return level;
}

std::unexpected<Error> expected(std::string what, std::string field) {
  return fail(ErrorCode::invalid_argument, "expected " + std::move(what), std::move(field));
}

}  // namespace

std::string commands_topic(std::string_view device) { return std::string(kDevices).append(device).append(kCommands); }

std::optional<std::string_view> commanded_device(std::string_view filter) {
  if (!filter.starts_with(kDevices)) return std::nullopt;
  filter.remove_prefix(kDevices.size());
  const std::string_view device = take_level(filter);
  if (filter != kCommands || device.empty() || device == "+" || device == "#") return std::nullopt;
  return device;
}

std::optional<ResponseTopic> response_topic(std::string_view topic) {
  if (!topic.ends_with(kResponse)) return std::nullopt;
  topic.remove_suffix(kResponse.size());
  ResponseTopic found;
  if (topic.starts_with(kDevices)) {
    topic.remove_prefix(kDevices.size());
    found.device = take_level(topic);
    if (found.device.empty() || !topic.starts_with(kCommands)) return std::nullopt;
    topic.remove_prefix(kCommands.size());
  } else if (topic.starts_with(kOwnCommands)) {
    topic.remove_prefix(kOwnCommands.size());
  } else {
    return std::nullopt;
  }
  if (topic.size() < 2 || topic.front() != '/') return std::nullopt;
  topic.remove_prefix(1);
  if (topic.contains('/')) return std::nullopt;
  found.id = topic;
  return found;
}

std::string command_payload(const CommandMessage& command) {
  std::string text = R"({"id":)";
  observe::append_json_string(text, command.id);
  text += R"(,"name":)";
  observe::append_json_string(text, command.name);
  text += R"(,"payload":)";
  text += command.payload;
  text += R"(,"expires":")" + to_rfc3339(command.expires) + "\"}";
  return text;
}

Result<CommandAnswer> parse_answer(std::string_view payload) {
  if (const auto fault = wire::json::check_json(payload, kNesting))
    return fail(ErrorCode::invalid_argument,
                "the answer is not JSON at byte offset " + std::to_string(fault->offset) + ": " + fault->message);
  json value;
  try {
    value = json::parse(payload);
  } catch (const json::exception& error) {
    // Grammatical, but for a number beyond every type.
    return fail(ErrorCode::invalid_argument, std::string("the answer cannot be read: ") + error.what());
  }
  constexpr auto kShape = R"(an object such as {"status":"succeeded","result":…})";
  if (!value.is_object()) return expected(kShape, "");
  for (const auto& [name, unused] : value.items())
    if (name != "status" && name != "result" && name != "reason")
      return fail(ErrorCode::invalid_argument, "unknown field: expected status, result, reason", name);
  CommandAnswer answer;
  const auto status = value.find("status");
  if (status == value.end() || (*status != "succeeded" && *status != "failed"))
    return expected("succeeded or failed", "status");
  answer.succeeded = *status == "succeeded";
  if (const auto reason = value.find("reason"); reason != value.end() && !reason->is_null()) {
    if (!reason->is_string()) return expected("a string", "reason");
    answer.reason = reason->get<std::string>();
    if (answer.reason.size() > kReasonBytes)
      return expected("at most " + std::to_string(kReasonBytes) + " bytes", "reason");
  }
  if (const auto result = value.find("result"); result != value.end() && !result->is_null())
    answer.result = result->dump();
  return answer;
}

}  // namespace flux::ingest::mqtt
