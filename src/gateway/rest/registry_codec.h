#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"
#include "gateway/json_text.h"
#include "registry/directory.h"
#include "registry/registry.h"
#include "store/series/series_store.h"

/// The registry's nouns as the JSON of contracts/openapi.json.
namespace flux::gateway {

void append_device(std::string& out, const registry::Device& device, Epoch epoch);
/// The same with a last member `latest`: {metric: {value, time, unit}}.
void append_device(std::string& out, const registry::Device& device, const std::vector<store::LastPoint>& latest,
                   Epoch epoch);
/// `{"temperature":{"value":…,"time":…,"unit":…,"received_at":…}}`; units from the device.
void append_latest(std::string& out, const registry::Device& device, const std::vector<store::LastPoint>& latest,
                   Epoch epoch, bool with_received_at);
void append_facets(std::string& out, const registry::DeviceFacets& facets);
void append_profile(std::string& out, const registry::Profile& profile);
void append_dashboard(std::string& out, const registry::Dashboard& dashboard, bool with_document);

Result<registry::NewDevice> parse_new_device(std::string_view body);
Result<registry::DevicePatch> parse_device_patch(std::string_view body);
/// `id` is the one of the path; empty when the body names it (`profile`).
Result<registry::Profile> parse_profile(std::string_view body, std::string_view id);

struct DashboardInput {
  std::string title;
  std::string document;
};
Result<DashboardInput> parse_dashboard(std::string_view body);

}  // namespace flux::gateway
