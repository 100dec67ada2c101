#include "app/client/api_client.h"

#include <curl/curl.h>

#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

namespace flux::app {
namespace {

using nlohmann::json;

std::optional<std::string> environment(const char* name) {
  const char* value = std::getenv(name);
  if (value == nullptr || *value == '\0') return std::nullopt;
  return value;
}

std::string escaped(CURL* curl, const std::string& text) {
  char* raw = curl_easy_escape(curl, text.data(), static_cast<int>(text.size()));
  std::string out = raw == nullptr ? "" : raw;
  curl_free(raw);
  return out;
}

ErrorCode code_of(long status) {
  switch (status) {
    case 400: return ErrorCode::invalid_argument;
    case 401: return ErrorCode::unauthenticated;
    case 403: return ErrorCode::permission_denied;
    case 404: return ErrorCode::not_found;
    case 409:
    case 412: return ErrorCode::already_exists;
    case 413: return ErrorCode::too_large;
    case 429: return ErrorCode::exhausted;
    case 503: return ErrorCode::unavailable;
    case 504: return ErrorCode::timed_out;
    default: return ErrorCode::internal;
  }
}

Error error_of(long status, const std::string& body) {
  Error error{code_of(status), "the server answered " + std::to_string(status), {}};
  const json parsed = json::parse(body, nullptr, false);
  if (!parsed.is_object()) return error;
  if (const auto at = parsed.find("error"); at != parsed.end() && at->is_object()) {
    error.message = at->value("message", error.message);
    error.field = at->value("field", std::string());
  } else if (const auto refused = parsed.find("refused");
             refused != parsed.end() && refused->is_array() && !refused->empty()) {
    error.message = refused->front().value("message", error.message);
    error.field = refused->front().value("field", std::string());
  }
  return error;
}

std::size_t append(char* data, std::size_t size, std::size_t count, void* into) {
  static_cast<std::string*>(into)->append(data, size * count);
  return size * count;
}

/// Takes a stream of events apart (WHATWG HTML, 9.2.6).
struct EventParser {
  const std::function<bool(std::string_view, std::string_view)>& event;
  std::string pending;
  std::string name;
  std::string data;
  bool wanted = true;

  void line(std::string_view text) {
    if (text.empty()) {
      if (!data.empty())
        wanted = event(name.empty() ? "message" : name, std::string_view(data).substr(0, data.size() - 1));
      name.clear();
      data.clear();
      return;
    }
    const std::size_t colon = text.find(':');
    const std::string_view field = text.substr(0, colon);
    std::string_view value = colon == std::string_view::npos ? std::string_view() : text.substr(colon + 1);
    if (value.starts_with(' ')) value.remove_prefix(1);
    if (field == "event") name = value;
    if (field == "data") data.append(value).append("\n");
  }

  static std::size_t take(char* bytes, std::size_t size, std::size_t count, void* self_pointer) {
    auto& self = *static_cast<EventParser*>(self_pointer);
    self.pending.append(bytes, size * count);
    std::size_t at = 0;
    for (std::size_t end; self.wanted && (end = self.pending.find('\n', at)) != std::string::npos; at = end + 1) {
      std::string_view text(self.pending.data() + at, end - at);
      if (text.ends_with('\r')) text.remove_suffix(1);
      self.line(text);
    }
    self.pending.erase(0, at);
    return self.wanted ? size * count : 0;
  }
};

}  // namespace

Result<Connection> resolve(const ConnectionOptions& options) {
  Connection connection;
  std::optional<std::string> url = options.url ? options.url : environment("FLUXGATE_URL");
  std::optional<std::string> token = options.token ? options.token : environment("FLUXGATE_TOKEN");
  if (!url || !token) {
    const std::string path = options.data_dir + "/server.json";
    std::ifstream file(path);
    const json server = file ? json::parse(file, nullptr, false) : json();
    if (server.is_object()) {
      // A token of this file is only for the server that wrote it, never for an address from elsewhere.
      if (!token && !url) token = server.value("token", std::string());
      const std::string http = server.value("http", std::string());
      if (!url && !http.empty()) url = "http://" + http;
    }
    if (!url)
      return fail(ErrorCode::unavailable, "no server is known: none runs on data folder '" + options.data_dir +
                                              "' (it would have written " + path +
                                              "); name one with --url and --token, or its folder with --data-dir");
  }
  connection.url = *url;
  while (connection.url.ends_with('/')) connection.url.pop_back();
  connection.token = token.value_or("");
  return connection;
}

struct ApiClient::Impl {
  Connection connection;
  CURL* curl = curl_easy_init();
  curl_slist* headers = nullptr;
  std::chrono::milliseconds patience = std::chrono::minutes(1);

  explicit Impl(Connection to) : connection(std::move(to)) {
    if (!connection.token.empty())
      headers = curl_slist_append(headers, ("Authorization: Bearer " + connection.token).c_str());
    headers = curl_slist_append(headers, "Content-Type: application/json");
  }
  ~Impl() {
    curl_slist_free_all(headers);
    curl_easy_cleanup(curl);
  }

  void prepare(const std::string& path, const Parameters& parameters) {
    curl_easy_reset(curl);
    std::string url = connection.url + path;
    char join = '?';
    for (const auto& [name, value] : parameters) {
      url += join + escaped(curl, name) + '=' + escaped(curl, value);
      join = '&';
    }
    curl_easy_setopt(curl, CURLOPT_URL, url.c_str());
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_ACCEPT_ENCODING, "");
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, 5'000L);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
  }

  [[nodiscard]] std::unexpected<Error> unreachable(CURLcode code) const {
    return fail(ErrorCode::unavailable, "cannot reach " + connection.url + ": " + curl_easy_strerror(code));
  }

  Result<std::string> perform() {
    std::string body;
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, static_cast<long>(patience.count()));
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, append);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &body);
    if (const CURLcode code = curl_easy_perform(curl); code != CURLE_OK) return unreachable(code);
    long status = 0;
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    if (status >= 400) return std::unexpected(error_of(status, body));
    return body;
  }
};

ApiClient::ApiClient(Connection connection) : impl_(std::make_unique<Impl>(std::move(connection))) {}
ApiClient::~ApiClient() = default;

void ApiClient::set_patience(std::chrono::milliseconds patience) { impl_->patience = patience; }

Result<std::string> ApiClient::get(const std::string& path, const Parameters& parameters) {
  impl_->prepare(path, parameters);
  return impl_->perform();
}

Result<std::string> ApiClient::post(const std::string& path, const std::string& body) {
  impl_->prepare(path, {});
  curl_easy_setopt(impl_->curl, CURLOPT_POST, 1L);
  curl_easy_setopt(impl_->curl, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(body.size()));
  curl_easy_setopt(impl_->curl, CURLOPT_POSTFIELDS, body.data());
  return impl_->perform();
}

Result<std::string> ApiClient::remove(const std::string& path) {
  impl_->prepare(path, {});
  curl_easy_setopt(impl_->curl, CURLOPT_CUSTOMREQUEST, "DELETE");
  return impl_->perform();
}

Result<> ApiClient::events(const std::string& path, const Parameters& parameters,
                           const std::function<bool(std::string_view, std::string_view)>& event,
                           const std::function<bool()>& stop) {
  impl_->prepare(path, parameters);
  EventParser parser{event, {}, {}, {}};
  std::string refusal;
  struct Sink {
    CURL* curl;
    EventParser& parser;
    std::string& refusal;
  } sink{impl_->curl, parser, refusal};
  const auto write = +[](char* data, std::size_t size, std::size_t count, void* pointer) -> std::size_t {
    auto& to = *static_cast<Sink*>(pointer);
    long status = 0;
    curl_easy_getinfo(to.curl, CURLINFO_RESPONSE_CODE, &status);
    if (status >= 400) return append(data, size, count, &to.refusal);
    return EventParser::take(data, size, count, &to.parser);
  };
  const auto progress = +[](void* pointer, curl_off_t, curl_off_t, curl_off_t, curl_off_t) -> int {
    return (*static_cast<const std::function<bool()>*>(pointer))() ? 1 : 0;
  };
  curl_easy_setopt(impl_->curl, CURLOPT_WRITEFUNCTION, write);
  curl_easy_setopt(impl_->curl, CURLOPT_WRITEDATA, &sink);
  curl_easy_setopt(impl_->curl, CURLOPT_NOPROGRESS, 0L);
  curl_easy_setopt(impl_->curl, CURLOPT_XFERINFOFUNCTION, progress);
  curl_easy_setopt(impl_->curl, CURLOPT_XFERINFODATA, &stop);
  const CURLcode code = curl_easy_perform(impl_->curl);
  long status = 0;
  curl_easy_getinfo(impl_->curl, CURLINFO_RESPONSE_CODE, &status);
  if (status >= 400) return std::unexpected(error_of(status, refusal));
  if (code == CURLE_OK || (code == CURLE_WRITE_ERROR && !parser.wanted) || code == CURLE_ABORTED_BY_CALLBACK) return {};
  return impl_->unreachable(code);
}

}  // namespace flux::app
