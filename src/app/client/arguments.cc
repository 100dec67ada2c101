#include "app/client/arguments.h"

namespace flux::app {

Result<std::pair<std::string, std::string>> split_pair(const std::string& text, std::string_view what) {
  const std::size_t at = text.find('=');
  if (at == 0 || at == std::string::npos)
    return fail(ErrorCode::invalid_argument, "'" + text + "' is no " + std::string(what) + ": expected name=value");
  return std::pair{text.substr(0, at), text.substr(at + 1)};
}

Result<> add_labels(Parameters& parameters, const std::vector<std::string>& labels) {
  for (const auto& label : labels) {
    TRY(const auto pair, split_pair(label, "label"));
    parameters.emplace_back("label", pair.first + ":" + pair.second);
  }
  return {};
}

}  // namespace flux::app
