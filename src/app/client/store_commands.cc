#include <chrono>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <thread>

#include "app/client/terminal.h"
#include "app/commands.h"
#include "app/data_folder.h"
#include "store/series/engine/engine.h"

namespace flux::app {
namespace {

using nlohmann::json;

/// The store of a running server, over its API, or that of a stopped one, in its folder.
class StoreTarget {
 public:
  static Result<StoreTarget> open(const ConnectionOptions& options) {
    StoreTarget target;
    const bool by_address = options.url || std::getenv("FLUXGATE_URL") != nullptr;
    const std::filesystem::path folder = options.data_dir;
    std::error_code ignored;
    if (!by_address && std::filesystem::exists(folder / "series" / "MANIFEST", ignored)) {
      auto locked = DataFolder::open(folder);
      if (locked) {
        target.folder_.emplace(*std::move(locked));
        TRY(target.store_, store::engine::open_at_rest(folder / "series", {}));
        return target;
      }
      if (locked.error().code != ErrorCode::already_exists) return std::unexpected(locked.error());
    }
    auto connection = resolve(options);
    if (!connection && !by_address)
      return fail(ErrorCode::not_found, "there is no store in '" + (folder / "series").string() +
                                            "' and no server that runs on '" + folder.string() +
                                            "': name the folder of one with --data-dir, or a server with --url");
    if (!connection) return std::unexpected(connection.error());
    target.client_ = std::make_unique<ApiClient>(*std::move(connection));
    target.client_->set_patience(std::chrono::hours(24));  // a large store takes long to read
    return target;
  }

  Result<std::string> storage() {
    if (client_ != nullptr) return client_->get("/api/v1/store");
    TRY(const auto report, store_->maintenance()->storage({}));
    return store::to_json(report);
  }
  Result<std::string> check() {
    if (client_ != nullptr) return client_->post("/api/v1/store/check", "{}");
    TRY(const auto report, store_->maintenance()->check({}));
    return store::to_json(report);
  }
  /// On a stopped server it is done on return.
  Result<std::string> start_merge() {
    if (client_ != nullptr) return client_->post("/api/v1/store/merge", "{}");
    store_->maintenance()->start_merge_to_end();
    return merge_status();
  }
  Result<std::string> merge_status() {
    if (client_ != nullptr) return client_->get("/api/v1/store/merge");
    return store::to_json(store_->maintenance()->merge_status());
  }

 private:
  StoreTarget() = default;
  std::unique_ptr<ApiClient> client_;
  std::optional<DataFolder> folder_;  // locked for as long as the store is open
  std::unique_ptr<store::TimeSeriesStore> store_;
};

/// Problems on stderr; whether there were any.
bool print_problems(const json& report) {
  for (const json& problem : report.at("problems")) remark("fluxgate: " + plain(problem));
  return !report.at("problems").empty();
}

double ratio(std::uint64_t bytes, std::uint64_t values) {
  return values == 0 ? 0 : static_cast<double>(bytes) / static_cast<double>(values);
}

void print_row(const std::string& name, std::uint64_t values, std::uint64_t bytes) {
  std::printf("%-52s  %14llu  %14llu  %9.4f\n", name.c_str(), static_cast<unsigned long long>(values),
              static_cast<unsigned long long>(bytes), ratio(bytes, values));
}

void print_share(const std::string& name, const json& share) {
  print_row(name, share.at("values").get<std::uint64_t>(), share.at("bytes").get<std::uint64_t>());
}

}  // namespace

int store_check(const StoreOptions& options) {
  auto target = StoreTarget::open(options.connection);
  if (!target) return complain_about(target.error());
  const auto answer = target->check();
  if (!answer) return complain_about(answer.error());
  const json report = json::parse(*answer);
  if (options.json) print_json(*answer);
  const bool damaged = print_problems(report);
  if (!options.json)
    std::printf("%s: %llu parts, %llu blocks, %llu values, %llu bytes\n", damaged ? "damaged" : "whole",
                report.at("parts").get<unsigned long long>(), report.at("blocks").get<unsigned long long>(),
                report.at("values").get<unsigned long long>(), report.at("bytes").get<unsigned long long>());
  return damaged ? 1 : 0;
}

int store_stat(const StoreOptions& options) {
  auto target = StoreTarget::open(options.connection);
  if (!target) return complain_about(target.error());
  const auto answer = target->storage();
  if (!answer) return complain_about(answer.error());
  const json report = json::parse(*answer);
  if (options.json) {
    print_json(*answer);
    return print_problems(report) ? 1 : 0;
  }
  const auto values = report.at("values").get<std::uint64_t>();
  std::printf("%-52s  %14s  %14s  %9s\n", "all", "values", "bytes", "per value");
  print_row(std::to_string(report.at("parts").get<std::uint64_t>()) + " parts", values,
            report.at("bytes").get<std::uint64_t>());
  print_share("values", report.at("coded"));
  print_share("times (shared by the fields of a device)", report.at("times"));
  print_share("rollups (rows)", report.at("rollups"));
  print_row("index", values, report.at("index_bytes").get<std::uint64_t>());
  std::printf("\nby metric, without times\n");
  for (const json& metric : report.at("metrics")) {
    std::string name = metric.at("database").get<std::string>();
    if (!name.empty()) name += '/';
    print_share(seen(name + metric.at("measurement").get<std::string>() + '.' + metric.at("field").get<std::string>()),
                metric);
  }
  std::printf("\nby codec\n");
  for (const json& codec : report.at("codecs")) print_share(codec.at("name").get<std::string>(), codec);
  return print_problems(report) ? 1 : 0;
}

int store_merge(const StoreOptions& options) {
  auto target = StoreTarget::open(options.connection);
  if (!target) return complain_about(target.error());
  auto answer = target->start_merge();
  while (answer && options.wait && json::parse(*answer).at("state") == "running") {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    answer = target->merge_status();
  }
  if (!answer) return complain_about(answer.error());
  const json status = json::parse(*answer);
  const std::string state = status.at("state").get<std::string>();
  if (options.json) print_json(*answer);
  if (state == "failed") {
    remark("fluxgate: the merge ended early: " + plain(status.at("error")));
    return 1;
  }
  if (!options.json)
    std::printf(state == "running" ? "merging; --wait waits for the end\n" : "merged to the end (%llu merges)\n",
                status.at("merges").get<unsigned long long>());
  return 0;
}

}  // namespace flux::app
