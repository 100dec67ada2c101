#include "store/series/maintenance.h"

#include "observe/json.h"

namespace flux::store {
namespace {

using observe::append_json_string;

void put(std::string& out, std::string_view name, std::uint64_t value) {
  if (out.back() != '{') out += ',';
  append_json_string(out, name);
  out += ':';
  out += std::to_string(value);
}

void put(std::string& out, std::string_view name, std::string_view text) {
  if (out.back() != '{') out += ',';
  append_json_string(out, name);
  out += ':';
  append_json_string(out, text);
}

void put(std::string& out, const Share& share) {
  put(out, "blocks", share.blocks);
  put(out, "values", share.values);
  put(out, "bytes", share.bytes);
}

void put(std::string& out, std::string_view name, const Share& share) {
  out += ',';
  append_json_string(out, name);
  out += ":{";
  put(out, share);
  out += '}';
}

void put(std::string& out, const std::vector<std::string>& problems) {
  out += R"(,"problems":[)";
  for (const std::string& problem : problems) {
    if (out.back() != '[') out += ',';
    append_json_string(out, problem);
  }
  out += ']';
}

}  // namespace

std::string to_json(const CheckReport& report) {
  std::string out = "{";
  put(out, "parts", report.parts);
  put(out, "series", report.series);
  put(out, "blocks", report.blocks);
  put(out, "values", report.values);
  put(out, "bytes", report.bytes);
  put(out, report.problems);
  return out + '}';
}

std::string to_json(const StorageReport& report) {
  std::string out = "{";
  put(out, "parts", report.parts);
  put(out, "values", report.values);
  put(out, "bytes", report.bytes);
  put(out, "times", report.times);
  put(out, "coded", report.coded);
  put(out, "rollups", report.rollups);
  put(out, "index_bytes", report.index_bytes);
  out += R"(,"metrics":[)";
  for (const auto& metric : report.metrics) {
    out += out.back() == '[' ? "{" : ",{";
    put(out, "tenant", metric.tenant.value);
    put(out, "database", metric.database);
    put(out, "measurement", metric.measurement);
    put(out, "field", metric.field);
    put(out, metric.share);
    out += '}';
  }
  out += R"(],"codecs":[)";
  for (const auto& codec : report.codecs) {
    out += out.back() == '[' ? "{" : ",{";
    put(out, "name", codec.name);
    put(out, codec.share);
    out += '}';
  }
  out += ']';
  put(out, report.problems);
  return out + '}';
}

std::string to_json(const MergeStatus& status) {
  std::string out = status.running ? R"({"state":"running")"
                    : status.error ? R"({"state":"failed")"
                                   : R"({"state":"done")";
  put(out, "merges", status.merges);
  if (status.error) put(out, "error", status.error->message);
  return out + '}';
}

}  // namespace flux::store
