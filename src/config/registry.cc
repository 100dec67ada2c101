#include "config/registry.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <cctype>
#include <set>

#include "config/nearest.h"

extern char** environ;

namespace flux::config {

namespace {

constexpr int kFileRank = 1;
constexpr int kEnvironmentRank = 2;
constexpr int kAssignmentRank = 3;
constexpr int kFlagRank = 4;
constexpr std::string_view kEnvironmentPrefix = "FLUXGATE_";

bool is_below(std::string_view key, std::string_view group) {
  return key.size() > group.size() + 1 && key.starts_with(group) && key[group.size()] == '.';
}

/// Kubernetes puts the address of every Service into the environment. A Service named `fluxgate` or `fluxgate-mqtt`
/// looks like settings of ours, and refusing it would keep a pod from starting.
bool is_service_link(std::string_view name, std::string_view value) {
  if (name.ends_with("_SERVICE_HOST") || name.ends_with("_SERVICE_PORT")) return true;
  if (name.find("_SERVICE_PORT_") != std::string_view::npos) return true;
  const bool address = value.starts_with("tcp://") || value.starts_with("udp://") || value.starts_with("sctp://");
  if (address && name.ends_with("_PORT")) return true;
  const auto port = name.find("_PORT_");
  if (port == std::string_view::npos) return false;
  const std::string_view rest = name.substr(port + 6);
  return !rest.empty() && std::isdigit(static_cast<unsigned char>(rest.front())) != 0 &&
         (rest.find("_TCP") != std::string_view::npos || rest.find("_UDP") != std::string_view::npos ||
          rest.find("_SCTP") != std::string_view::npos);
}

std::string shown(const Field& field, std::string_view text) {
  return field.secret ? std::string() : ", not '" + std::string(text) + "'";
}

/// Walks a YAML document and hands every leaf to the registry under its dotted key.
class FileReader {
 public:
  using AssignText =
      std::function<Result<>(const std::string& key, const std::string& text, const std::string& source)>;
  using AssignItems = std::function<Result<>(const Field&, const std::vector<std::string>&, const std::string& source)>;

  FileReader(const Registry& registry, std::string file, std::vector<std::string>& findings)
      : registry_(registry), file_(std::move(file)), findings_(findings) {
    for (const Field& field : registry.fields()) {
      known_.push_back(field.key);
      for (auto dot = field.key.find('.'); dot != std::string::npos; dot = field.key.find('.', dot + 1)) {
        groups_.insert(field.key.substr(0, dot));
      }
    }
  }

  void read(const YAML::Node& root, const AssignText& text, const AssignItems& items) {
    if (root.IsNull()) return;  // an empty file sets nothing
    if (!root.IsMap()) {
      report(root, "expected settings such as 'log: {level: info}'");
      return;
    }
    walk(root, "", text, items);
  }

 private:
  void walk(const YAML::Node& map, const std::string& prefix, const AssignText& text, const AssignItems& items) {
    for (const auto& entry : map) {
      if (!entry.first.IsScalar()) {
        report(entry.first, "expected the name of a setting");
        continue;
      }
      const std::string key = prefix.empty() ? entry.first.Scalar() : prefix + "." + entry.first.Scalar();
      const Field* field = registry_.find(key);
      if (field == nullptr && !groups_.contains(key)) {
        report_unknown(entry.first, key, entry.second.IsMap());
      } else if (field == nullptr) {
        if (entry.second.IsMap()) walk(entry.second, key, text, items);
        else if (!entry.second.IsNull()) report(entry.second, "'" + key + "' is a group: expected settings below it");
      } else if (!seen_.insert(key).second) {
        report(entry.first, "'" + key + "' is set twice");
      } else {
        leaf(*field, entry.second, text, items);
      }
    }
  }

  void leaf(const Field& field, const YAML::Node& node, const AssignText& text, const AssignItems& items) {
    if (field.list && node.IsSequence()) {
      std::vector<std::string> values;
      for (const YAML::Node& item : node) {
        if (!item.IsScalar()) {
          report(item, "'" + field.key + "': expected a plain item");
          return;
        }
        values.push_back(item.Scalar());
      }
      keep(items(field, values, where(node)));
    } else if (node.IsScalar()) {
      keep(text(field.key, node.Scalar(), where(node)));
    } else {
      report(node, "'" + field.key + "': expected " + (field.list ? "a list" : field.type));
    }
  }

  void report_unknown(const YAML::Node& node, const std::string& key, bool is_group) {
    std::string message = (is_group ? "unknown group '" : "unknown setting '") + key + "'";
    const std::vector<std::string> groups(groups_.begin(), groups_.end());
    if (const std::string guess = nearest(key, is_group ? groups : known_); !guess.empty()) {
      message += "; did you mean '" + guess + "'?";
    }
    report(node, message);
  }

  void report(const YAML::Node& node, const std::string& message) { findings_.push_back(where(node) + ": " + message); }
  void keep(const Result<>& result) {
    if (!result) findings_.push_back(result.error().message);
  }
  [[nodiscard]] std::string where(const YAML::Node& node) const {
    return file_ + ":" + std::to_string(node.Mark().line + 1);
  }

  const Registry& registry_;
  std::string file_;
  std::vector<std::string>& findings_;
  std::vector<std::string> known_;
  std::set<std::string> groups_;
  std::set<std::string> seen_;
};

}  // namespace

std::string environment_name(std::string_view key) {
  std::string name(kEnvironmentPrefix);
  for (const char c : key) {
    const bool keep = std::isalnum(static_cast<unsigned char>(c)) != 0;
    name += keep ? static_cast<char>(std::toupper(static_cast<unsigned char>(c))) : '_';
  }
  return name;
}

std::vector<std::string> process_environment() {
  std::vector<std::string> variables;
  for (char** variable = environ; variable != nullptr && *variable != nullptr; ++variable) {
    variables.emplace_back(*variable);
  }
  return variables;
}

void Registry::add_fields(std::vector<Field> fields) {
  for (Field& field : fields) {
    for (const Field& other : fields_) {
      CHECK_MSG(environment_name(other.key) != environment_name(field.key), field.key + " is described twice");
      CHECK_MSG(!is_below(other.key, field.key) && !is_below(field.key, other.key),
                field.key + " is both a setting and a group");
    }
    field.default_text = field.text();
    fields_.push_back(std::move(field));
  }
}

const Field* Registry::find(std::string_view key) const {
  const auto found = std::ranges::find(fields_, key, &Field::key);
  return found == fields_.end() ? nullptr : &*found;
}

Field* Registry::find_mutable(std::string_view key) {
  const auto found = std::ranges::find(fields_, key, &Field::key);
  return found == fields_.end() ? nullptr : &*found;
}

std::string Registry::unknown_key(std::string_view key) const {
  std::vector<std::string> known;
  for (const Field& field : fields_) known.push_back(field.key);
  std::string message = "unknown setting '" + std::string(key) + "'";
  if (const std::string guess = nearest(key, known); !guess.empty()) message += "; did you mean '" + guess + "'?";
  return message;
}

Result<> Registry::assign(std::string_view key, std::string_view text, int rank, const std::string& source) {
  Field* field = find_mutable(key);
  if (field == nullptr) return fail(ErrorCode::invalid_argument, source + ": " + unknown_key(key), std::string(key));
  if (rank < field->rank) return {};
  if (auto parsed = field->parse(text); !parsed) {
    return fail(ErrorCode::invalid_argument,
                source + ": '" + field->key + "': " + parsed.error().message + shown(*field, text), field->key);
  }
  field->rank = rank;
  field->source = source;
  return {};
}

Result<> Registry::set(std::string_view key, std::string_view text, const std::string& source) {
  return assign(key, text, kFlagRank, source);
}

Result<> Registry::load(const Sources& sources) {
  std::vector<std::string> findings;
  if (sources.file) load_file(*sources.file, findings);
  load_environment(sources, findings);
  for (const std::string& assignment : sources.assignments) {
    const auto equals = assignment.find('=');
    if (equals == std::string::npos) {
      findings.push_back("--set " + assignment + ": expected key=value");
      continue;
    }
    const std::string key = assignment.substr(0, equals);
    const auto set = assign(key, std::string_view(assignment).substr(equals + 1), kAssignmentRank, "--set " + key);
    if (!set) findings.push_back(set.error().message);
  }
  if (findings.empty()) {
    for (const auto& validate : validators_) {
      if (const auto valid = validate(); !valid) findings.push_back(valid.error().message);
    }
  }
  if (findings.empty()) return {};
  std::string message;
  for (const std::string& finding : findings) message += (message.empty() ? "" : "\n") + finding;
  return fail(ErrorCode::invalid_argument, std::move(message));
}

void Registry::load_file(const std::filesystem::path& path, std::vector<std::string>& findings) {
  const std::string name = path.string();
  YAML::Node root;
  try {
    root = YAML::LoadFile(name);
  } catch (const YAML::BadFile&) {
    findings.push_back(name + ": cannot be read");
    return;
  } catch (const YAML::Exception& error) {
    findings.push_back(name + ":" + std::to_string(error.mark.line + 1) + ": " + error.msg);
    return;
  }
  FileReader reader(*this, name, findings);
  reader.read(
      root,
      [this](const std::string& key, const std::string& text, const std::string& source) {
        return assign(key, text, kFileRank, source);
      },
      [this](const Field& listed, const std::vector<std::string>& items, const std::string& source) -> Result<> {
        Field* field = find_mutable(listed.key);
        if (kFileRank < field->rank) return {};
        DO(field->assign(items));
        field->rank = kFileRank;
        field->source = source;
        return {};
      });
}

void Registry::load_environment(const Sources& sources, std::vector<std::string>& findings) {
  for (const std::string& variable : sources.environment) {
    if (!variable.starts_with(kEnvironmentPrefix)) continue;
    const auto equals = variable.find('=');
    const std::string name = variable.substr(0, equals);
    const std::string value = equals == std::string::npos ? "" : variable.substr(equals + 1);
    if (std::ranges::find(sources.ignored_environment, name) != sources.ignored_environment.end()) continue;

    std::vector<std::string> names;
    const Field* match = nullptr;
    for (const Field& field : fields_) {
      names.push_back(environment_name(field.key));
      if (names.back() == name) match = &field;
    }
    if (match != nullptr) {
      if (const auto set = assign(match->key, value, kEnvironmentRank, name); !set)
        findings.push_back(set.error().message);
    } else if (!is_service_link(name, value)) {
      std::string message = name + ": unknown setting in the environment";
      if (const std::string guess = nearest(name, names); !guess.empty()) message += "; did you mean " + guess + "?";
      findings.push_back(message);
    }
  }
}

}  // namespace flux::config
