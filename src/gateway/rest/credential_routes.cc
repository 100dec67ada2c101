#include "gateway/rest/credential_routes.h"

#include "gateway/access.h"
#include "gateway/json_input.h"
#include "gateway/json_text.h"
#include "gateway/rest/parameters.h"
#include "gateway/rest/registry_codec.h"
#include "observe/json.h"

namespace flux::gateway {
namespace {

using net::HttpRequest;
using net::HttpResponse;
using observe::append_json_string;

constexpr const char* kManage = "manage_credentials";
constexpr std::size_t kBody = 64 << 10;

TenantId tenant_of(const HttpRequest& request) { return caller(request).tenant(); }

void append_optional_time(std::string& out, std::string_view name, const std::optional<Time>& time, Epoch epoch) {
  out += ",\"";
  out += name;
  out += "\":";
  if (time) append_time(out, *time, epoch);
  else out += "null";
}

/// Without the closing brace, so that a secret can follow.
void append_credential_open(std::string& out, const auth::Credential& credential, Epoch epoch) {
  out += R"({"id":)";
  append_json_string(out, credential.id);
  out += R"(,"kind":"token","created_at":)";
  append_time(out, credential.created_at, epoch);
  append_optional_time(out, "last_used_at", credential.last_used_at, epoch);
  append_optional_time(out, "expires_at", credential.expires_at, epoch);
}

void append_key_open(std::string& out, const auth::IngestKey& key, Epoch epoch) {
  out += R"({"id":)";
  append_json_string(out, key.id);
  out += R"(,"name":)";
  append_json_string(out, key.name);
  out += R"(,"create_devices":)";
  out += key.create_devices ? "true" : "false";
  out += R"(,"created_at":)";
  append_time(out, key.created_at, epoch);
  append_optional_time(out, "last_used_at", key.last_used_at, epoch);
}

/// The host that the caller reached us by, without the port: what a device on the same network can use too.
std::string host_of(const HttpRequest& request) {
  std::string host(request.header("Host"));
  const std::size_t bracket = host.find(']');
  const std::size_t colon = host.find(':', bracket == std::string::npos ? 0 : bracket);
  if (colon != std::string::npos) host.resize(colon);
  return host.empty() ? "127.0.0.1" : host;
}

/// One statement for `python3 -c`, with the paho client. A JSON string is a Python string too.
std::string python_publish(const std::string& host, std::uint16_t port, const std::string& user,
                           const std::string& token, const std::string& topic, const std::string& payload) {
  std::string out = "import paho.mqtt.publish as mqtt; mqtt.single(";
  append_json_string(out, topic);
  out += ", ";
  append_json_string(out, payload);
  out += ", qos=1, hostname=";
  append_json_string(out, host);
  out += ", port=" + std::to_string(port) + R"(, auth={"username": )";
  append_json_string(out, user);
  out += R"(, "password": )";
  append_json_string(out, token);
  return out + "})";
}

}  // namespace

std::string shell_word(std::string_view text) {
  constexpr std::string_view kHarmless = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_./:@%+=,";
  if (!text.empty() && text.find_first_not_of(kHarmless) == std::string_view::npos) return std::string(text);
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'') out += "'\\''";
    else out += c;
  }
  return out + "'";
}

void CredentialRoutes::mount(net::Router::Group api) {
  api.get("/devices/{device}/credentials", {.name = "credentials_list", .access = kManage},
          [this](HttpRequest& r) { return list(r); });
  api.post("/devices/{device}/credentials", {.name = "credentials_create", .access = kManage, .body_limit = kBody},
           [this](HttpRequest& r) { return create(r); });
  api.del("/devices/{device}/credentials/{id}", {.name = "credential_revoke", .access = kManage},
          [this](HttpRequest& r) { return revoke(r); });
  api.get("/ingest-keys", {.name = "ingest_keys_list", .access = kManage},
          [this](HttpRequest& r) { return list_keys(r); });
  api.post("/ingest-keys", {.name = "ingest_keys_create", .access = kManage, .body_limit = kBody},
           [this](HttpRequest& r) { return create_key(r); });
  api.del("/ingest-keys/{id}", {.name = "ingest_key_revoke", .access = kManage},
          [this](HttpRequest& r) { return revoke_key(r); });
  api.post("/connect", {.name = "connect", .access = kManage, .body_limit = kBody},
           [this](HttpRequest& r) { return connect(r); });
}

Async<HttpResponse> CredentialRoutes::list(HttpRequest& request) {
  CO_TRY(const auto epoch, epoch_of(request));
  std::string device(request.param("device"));
  CO_TRY(const auto credentials, co_await credentials_.list(tenant_of(request), std::move(device)));
  std::string body = R"({"credentials":[)";
  for (std::size_t i = 0; i < credentials.size(); ++i) {
    if (i != 0) body += ',';
    append_credential_open(body, credentials[i], epoch);
    body += '}';
  }
  body += "]}";
  co_return HttpResponse::json(200, std::move(body));
}

Async<HttpResponse> CredentialRoutes::create(HttpRequest& request) {
  CO_TRY(const auto epoch, epoch_of(request));
  CO_TRY(const auto input, JsonObject::parse(request.body(), true));
  CO_DO(input.only({"expires_at"}));
  CO_TRY(const auto expires_at, input.time("expires_at"));
  if (expires_at && *expires_at <= wall_now())
    co_return fail(ErrorCode::invalid_argument, "expected a time to come", "expires_at");
  std::string device(request.param("device"));
  CO_TRY(const auto issued, co_await credentials_.create(tenant_of(request), std::move(device), expires_at));
  std::string body;
  append_credential_open(body, issued.credential, epoch);
  body += R"(,"token":)";
  append_json_string(body, issued.token);
  body += '}';
  co_return HttpResponse::json(201, std::move(body)).header("Cache-Control", "no-store");
}

Async<HttpResponse> CredentialRoutes::revoke(HttpRequest& request) {
  std::string device(request.param("device"));
  std::string id(request.param("id"));
  CO_DO(co_await credentials_.revoke(tenant_of(request), std::move(device), std::move(id)));
  co_return HttpResponse::empty(204);
}

Async<HttpResponse> CredentialRoutes::list_keys(HttpRequest& request) {
  CO_TRY(const auto epoch, epoch_of(request));
  CO_TRY(const auto keys, co_await credentials_.ingest_keys(tenant_of(request)));
  std::string body = R"({"ingest_keys":[)";
  for (std::size_t i = 0; i < keys.size(); ++i) {
    if (i != 0) body += ',';
    append_key_open(body, keys[i], epoch);
    body += '}';
  }
  body += "]}";
  co_return HttpResponse::json(200, std::move(body));
}

Async<HttpResponse> CredentialRoutes::create_key(HttpRequest& request) {
  CO_TRY(const auto epoch, epoch_of(request));
  CO_TRY(const auto input, JsonObject::parse(request.body()));
  CO_DO(input.only({"name", "create_devices"}));
  CO_TRY(auto name, input.required_text("name"));
  CO_TRY(const auto create_devices, input.boolean("create_devices"));
  CO_TRY(const auto issued,
         co_await credentials_.create_ingest_key(tenant_of(request), std::move(name), create_devices.value_or(false)));
  std::string body;
  append_key_open(body, issued.key, epoch);
  body += R"(,"key":)";
  append_json_string(body, issued.secret);
  body += '}';
  co_return HttpResponse::json(201, std::move(body)).header("Cache-Control", "no-store");
}

Async<HttpResponse> CredentialRoutes::revoke_key(HttpRequest& request) {
  std::string id(request.param("id"));
  CO_DO(co_await credentials_.revoke_ingest_key(tenant_of(request), std::move(id)));
  co_return HttpResponse::empty(204);
}

Async<HttpResponse> CredentialRoutes::connect(HttpRequest& request) {
  CO_TRY(const auto epoch, epoch_of(request));
  CO_TRY(const auto input, JsonObject::parse(request.body()));
  CO_DO(input.only({"device", "name", "profile", "labels"}));
  CO_TRY(auto wanted, parse_new_device(request.body()));
  const TenantId tenant = tenant_of(request);
  CO_TRY(const auto device, co_await registry_.ensure_device(tenant, std::move(wanted)));
  CO_TRY(const auto issued, co_await credentials_.create(tenant, device.device, std::nullopt));

  const std::uint16_t mqtt_port = mqtt_port_();
  const std::string host = host_of(request);
  // MQTT clients take an IPv6 address without the brackets that a URL needs.
  const std::string mqtt_host = host.starts_with('[') ? host.substr(1, host.size() - 2) : host;
  const std::string url = "http://" + std::string(request.header("Host")) + "/api/v1/telemetry";
  const std::string topic = "v1/devices/" + device.device + "/telemetry";
  const std::string payload = R"({"temperature":21.5})";
  std::string reading = R"({"device":)";
  append_json_string(reading, device.device);
  reading += R"(,"metrics":)" + payload + "}";
  const std::string mosquitto = "mosquitto_pub -h " + mqtt_host + " -p " + std::to_string(mqtt_port) + " -q 1 -u " +
                                shell_word(device.device) + " -P " + issued.token + " -t " + shell_word(topic) +
                                " -m " + shell_word(payload);
  const std::string curl = "curl " + url + " -H 'Authorization: Bearer " + issued.token +
                           "' -H 'Content-Type: application/json' -d " + shell_word(reading);

  const std::string python =
      "python3 -c " + shell_word(python_publish(mqtt_host, mqtt_port, device.device, issued.token, topic, payload));

  std::string body = R"({"device":)";
  append_device(body, device, epoch);
  body += R"(,"credential":{"id":)";
  append_json_string(body, issued.credential.id);
  body += R"(,"token":)";
  append_json_string(body, issued.token);
  body += R"(},"mqtt":{"host":)";
  append_json_string(body, mqtt_host);
  body += R"(,"port":)";
  append_integer(body, std::uint64_t{mqtt_port});
  body += R"(,"username":)";
  append_json_string(body, device.device);
  body += R"(,"password":)";
  append_json_string(body, issued.token);
  body += R"(,"topic":)";
  append_json_string(body, topic);
  body += R"(},"http":{"url":)";
  append_json_string(body, url);
  body += R"(},"snippets":[{"name":"mosquitto_pub","protocol":"mqtt","text":)";
  append_json_string(body, mosquitto);
  body += R"(},{"name":"curl","protocol":"http","text":)";
  append_json_string(body, curl);
  body += R"(},{"name":"Python","protocol":"mqtt","text":)";
  append_json_string(body, python);
  body += "}]}";
  co_return HttpResponse::json(201, std::move(body)).header("Cache-Control", "no-store");
}

}  // namespace flux::gateway
