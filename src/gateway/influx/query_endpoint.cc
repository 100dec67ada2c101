#include "gateway/influx/query_endpoint.h"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>
#include <vector>

#include "gateway/influx/answer_writer.h"
#include "gateway/parse_json.h"
#include "gateway/text_stream.h"
#include "runtime/spawn.h"

namespace flux::gateway::influx {
namespace {

using query::influxql::Parameter;
using query::influxql::Parameters;
using Values = std::vector<std::pair<std::string, std::string>>;

constexpr std::size_t kBody = 1 << 20;
constexpr std::size_t kDefaultChunk = 10'000;

std::optional<Values> form_values(std::string_view text) {
  Values values;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('&'), text.size());
    const std::string_view pair = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (pair.empty()) continue;
    const std::size_t equals = std::min(pair.find('='), pair.size());
    auto name = net::percent_decode(pair.substr(0, equals), true);
    auto value = net::percent_decode(equals < pair.size() ? pair.substr(equals + 1) : std::string_view(), true);
    if (!name || !value) return std::nullopt;
    values.emplace_back(*std::move(name), *std::move(value));
  }
  return values;
}

/// Parameters of the body, then of the address.
class Form {
 public:
  explicit Form(Values values) : values_(std::move(values)) {}
  [[nodiscard]] std::string get(std::string_view name) const {
    const auto at = std::ranges::find(values_, name, [](const auto& value) -> std::string_view { return value.first; });
    return at == values_.end() ? std::string() : at->second;
  }

 private:
  Values values_;
};

std::string trimmed(std::string text) {
  const auto blank = [](char c) { return c == ' ' || (c >= '\t' && c <= '\r'); };
  while (!text.empty() && blank(text.back())) text.pop_back();
  text.erase(text.begin(), std::ranges::find_if_not(text, blank));
  return text;
}

Result<Parameters> bound_parameters(const std::string& text) {
  Parameters parameters;
  if (text.empty()) return parameters;
  auto parsed = parse_json(text);
  if (!parsed) return fail(ErrorCode::invalid_argument, "error parsing query parameters: " + parsed.error().message);
  if (!parsed->is_object())
    return fail(ErrorCode::invalid_argument, "error parsing query parameters: expected an object");
  for (const auto& [name, value] : parsed->items()) {
    if (value.is_null()) continue;
    Parameter parameter = query::influxql::Unbindable{value.is_array() ? "[]interface {}" : "map[string]interface {}"};
    if (value.is_string()) parameter = value.get<std::string>();
    else if (value.is_boolean()) parameter = value.get<bool>();
    else if (value.is_number_integer() && !value.is_number_unsigned()) parameter = value.get<std::int64_t>();
    else if (value.is_number_unsigned() && value.get<std::uint64_t>() <= INT64_MAX)
      parameter = static_cast<std::int64_t>(value.get<std::uint64_t>());
    else if (value.is_number()) parameter = value.get<double>();
    parameters.emplace(name, std::move(parameter));
  }
  return parameters;
}

/// What statements change is changed on the request's shard; the worker that runs them waits.
class ShardAdministration final : public query::influxql::Administration {
 public:
  ShardAdministration(runtime::Shard& shard, registry::Databases& databases, const QueryEndpoint::Erase& erase)
      : shard_(shard), databases_(databases), erase_(erase) {}

  Result<> create_database(TenantId tenant, std::string name) override {
    registry::NewDatabase wanted;
    wanted.name = std::move(name);
    return without_value(runtime::block_on(shard_, databases_.ensure(tenant, std::move(wanted))));
  }
  Result<> drop_database(TenantId tenant, std::string name) override {
    // First the name, so that nothing is written under it any more, then what was.
    DO(runtime::block_on(shard_, databases_.drop(tenant, name)));
    store::SeriesSelector all{.tenant = tenant, .database = std::move(name)};
    return erase(std::move(all), {});
  }
  Result<> erase(store::SeriesSelector selector, store::TimeRange range) override {
    return runtime::block_on(shard_, erase_(std::move(selector), range));
  }

 private:
  template <class T>
  static Result<> without_value(Result<T> result) {
    if (!result) return std::unexpected(std::move(result).error());
    return {};
  }
  runtime::Shard& shard_;
  registry::Databases& databases_;
  const QueryEndpoint::Erase& erase_;
};

net::HttpResponse branded(net::HttpResponse response) {
  response.header("X-Influxdb-Version", "1.8-fluxgate");
  response.header("Cache-Control", "no-store");
  return response;
}

}  // namespace

QueryEndpoint::QueryEndpoint(Needs needs)
    : needs_(std::move(needs)), sign_in_(std::make_shared<SignIn>(needs_.sign_in)) {}

void QueryEndpoint::mount(const net::Router::Group& root) {
  net::Router::Group group = root;
  group.use([sign_in = sign_in_](net::HttpRequest& request) { return (*sign_in)(request); });
  group.get("/query", {.name = "influx_query", .access = "influx"}, [this](net::HttpRequest& r) { return answer(r); });
  group.post("/query", {.name = "influx_query", .access = "influx", .body_limit = kBody},
             [this](net::HttpRequest& r) { return answer(r); });
}

Async<net::HttpResponse> QueryEndpoint::answer(net::HttpRequest& request) {
  Values values;
  const std::string type = request.content_type();
  if (request.method() == net::Method::post && type == "application/x-www-form-urlencoded") {
    auto form = form_values(request.body());
    if (!form) co_return failure(400, "the form in the body is not percent-encoded as it must be");
    values = *std::move(form);
  }
  for (auto& parameter : request.query_params()) values.push_back(std::move(parameter));
  const Form form(std::move(values));
  std::string text = trimmed(form.get("q"));
  if (text.empty() && type == "application/vnd.influxql") text = request.body();
  if (text.empty()) co_return failure(400, R"(missing required parameter "q")");
  auto parameters = bound_parameters(form.get("params"));
  if (!parameters) co_return failure(400, parameters.error().message);
  auto statements = query::influxql::Parser(text, *std::move(parameters)).statements();
  if (!statements) co_return failure(400, "error parsing query: " + statements.error().message);

  const auto& asker = *request.principal_as<Asker>();
  query::influxql::Request wanted{.statements = *std::move(statements),
                                  .tenant = asker.tenant,
                                  .database = form.get("db"),
                                  .policy = form.get("rp"),
                                  .may_read = asker.may_read,
                                  .may_create = asker.may_create,
                                  .may_manage = asker.may_manage,
                                  .read_only = request.method() == net::Method::get};
  AnswerOptions how{.csv = request.header("Accept") == "application/csv" || request.header("Accept") == "text/csv",
                    .pretty = form.get("pretty") == "true",
                    .chunked = form.get("chunked") == "true",
                    .chunk_rows = kDefaultChunk,
                    .epoch = trimmed(form.get("epoch"))};
  if (how.chunked) {
    const std::string size = form.get("chunk_size");
    std::size_t rows = 0;
    const auto read = std::from_chars(size.data(), size.data() + size.size(), rows);
    if (read.ec == std::errc() && rows > 0 && read.ptr == size.data() + size.size()) how.chunk_rows = rows;
  }
  const std::string content = how.csv ? "text/csv" : "application/json";
  auto produce = [service = needs_.service, wanted = std::move(wanted), how = std::move(how), &shard = request.shard(),
                  &databases = needs_.databases, erase = needs_.erase, piece = needs_.options.piece_bytes,
                  now = wall_now().ns](const PushText& push, std::stop_token stop) -> Result<> {
    ShardAdministration administration(shard, databases, erase);
    AnswerWriter writer(how, piece, push);
    DO(service->run(wanted, administration, now, std::move(stop), writer));
    writer.finish();
    return {};
  };
  TextStreamOptions options{.time_limit = needs_.options.time_limit,
                            .buffered_bytes = needs_.options.buffered_bytes,
                            .content_type = content};
  auto answered = co_await stream_text(needs_.workers, std::move(produce), std::move(options), request.cancelled());
  if (!answered) {
    const Error& error = answered.error();
    if (error.code == ErrorCode::timed_out) co_return failure(503, "query-timeout limit exceeded");
    co_return failure(net::status_of(error.code), error.message);
  }
  co_return branded(*std::move(answered));
}

}  // namespace flux::gateway::influx
