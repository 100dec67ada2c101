#include "gateway/rest/command_routes.h"

#include "gateway/access.h"
#include "gateway/rest/command_codec.h"
#include "gateway/rest/parameters.h"
#include "observe/json.h"

namespace flux::gateway {
namespace {

using net::HttpRequest;
using net::HttpResponse;

constexpr std::size_t kBody = 1 << 20;
constexpr std::size_t kPage = 1'000;

HttpResponse command_answer(const control::Command& command, Epoch epoch) {
  std::string body;
  append_command(body, command, epoch);
  return HttpResponse::json(200, std::move(body));
}

void append_commands(std::string& out, const std::vector<control::Command>& commands, Epoch epoch) {
  out += R"({"commands":[)";
  for (std::size_t i = 0; i < commands.size(); ++i) {
    if (i != 0) out += ',';
    append_command(out, commands[i], epoch);
  }
  out += ']';
}

}  // namespace

void CommandRoutes::mount(net::Router::Group api) {
  api.post("/commands", {.name = "commands_send", .access = "control", .body_limit = kBody},
           [this](HttpRequest& r) { return send(r); });
  api.get("/commands", {.name = "commands_list", .access = "read"}, [this](HttpRequest& r) { return list(r); });
  api.get("/commands/{id}", {.name = "command_get", .access = "read"}, [this](HttpRequest& r) { return get(r); });
  api.post("/commands/{id}/cancel", {.name = "command_cancel", .access = "control"},
           [this](HttpRequest& r) { return cancel(r); });
}

Async<HttpResponse> CommandRoutes::send(HttpRequest& request) {
  CO_TRY(const auto epoch, epoch_of(request));
  CO_TRY(auto wanted, parse_command_request(request.body()));
  wanted.tenant = caller(request).tenant();
  wanted.sender = caller(request).user.name;
  CO_TRY(const auto commands, co_await commands_.send(std::move(wanted)));
  std::string body;
  append_commands(body, commands, epoch);
  body += '}';
  co_return HttpResponse::json(202, std::move(body));
}

Async<HttpResponse> CommandRoutes::list(HttpRequest& request) {
  CO_TRY(auto page, page_of(request, 100, kPage));
  CO_TRY(const auto epoch, epoch_of(request));
  std::optional<control::State> state;
  if (const auto word = request.query("state")) {
    state = control::state_from(*word);
    if (!state)
      co_return fail(ErrorCode::invalid_argument,
                     "expected queued, sent, delivered, succeeded, failed, expired or cancelled", "state");
  }
  auto device = request.query("device");
  CO_TRY(const auto list, co_await commands_.list(caller(request).tenant(), std::move(device), state, std::move(page)));
  std::string body;
  append_commands(body, list.commands, epoch);
  body += R"(,"next":)";
  if (list.next.empty()) body += "null";
  else observe::append_json_string(body, list.next);
  body += '}';
  co_return HttpResponse::json(200, std::move(body));
}

Async<HttpResponse> CommandRoutes::get(HttpRequest& request) {
  CO_TRY(const auto epoch, epoch_of(request));
  std::string id(request.param("id"));
  CO_TRY(const auto command, co_await commands_.get(caller(request).tenant(), std::move(id)));
  co_return command_answer(command, epoch);
}

Async<HttpResponse> CommandRoutes::cancel(HttpRequest& request) {
  CO_TRY(const auto epoch, epoch_of(request));
  std::string id(request.param("id"));
  std::string by = caller(request).user.name;
  CO_TRY(const auto command, co_await commands_.cancel(caller(request).tenant(), std::move(id), std::move(by)));
  co_return command_answer(command, epoch);
}

}  // namespace flux::gateway
