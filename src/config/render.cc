#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <sstream>

#include "config/registry.h"

namespace flux::config {

namespace {

/// `text` as a YAML scalar, quoted only where YAML would read something else.
std::string yaml_scalar(const std::string& text) {
  YAML::Emitter emitter;
  emitter << text;
  return emitter.c_str();
}

std::string yaml_value(const Field& field) {
  if (!field.list) return field.type == "text" || field.type == "path" ? yaml_scalar(field.print()) : field.print();
  YAML::Emitter emitter;
  emitter << YAML::Flow << field.items();
  return emitter.c_str();
}

std::vector<std::string> parts_of(const std::string& key) {
  std::vector<std::string> parts;
  std::istringstream in(key);
  for (std::string part; std::getline(in, part, '.');) parts.push_back(part);
  return parts;
}

std::string markdown_cell(std::string text) {
  for (std::size_t at = 0; (at = text.find('|', at)) != std::string::npos; at += 2) text.insert(at, "\\");
  return text;
}

}  // namespace

std::string Registry::print(bool changed_only) const {
  std::vector<const Field*> ordered;
  for (const Field& field : fields_) {
    if (!changed_only || field.text() != field.default_text) ordered.push_back(&field);
  }
  // Groups must not be torn apart, or the file would name one twice.
  std::ranges::stable_sort(ordered, {}, [](const Field* field) { return parts_of(field->key).front(); });

  std::string out;
  std::vector<std::string> open;
  for (const Field* field : ordered) {
    std::vector<std::string> parts = parts_of(field->key);
    const std::string name = parts.back();
    parts.pop_back();
    std::size_t common = 0;
    while (common < parts.size() && common < open.size() && parts[common] == open[common]) ++common;
    for (std::size_t depth = common; depth < parts.size(); ++depth) {
      if (depth == 0 && !out.empty()) out += "\n";
      out += std::string(depth * 2, ' ') + parts[depth] + ":\n";
    }
    open = parts;

    const std::string indent(parts.size() * 2, ' ');
    out += indent + "# " + field->doc + "\n";
    if (field->secret) {
      const bool set = !field->print().empty();
      out += indent + "# " + name + ": " + (set ? "********" : "(not set)") + "  # " + field->source + "\n";
    } else {
      out += indent + name + ": " + yaml_value(*field) + "  # " + field->source + "\n";
    }
  }
  return out;
}

std::string Registry::reference() const {
  std::vector<std::string> rooms;
  for (const Field& field : fields_) {
    const std::string room = parts_of(field.key).front();
    if (std::ranges::find(rooms, room) == rooms.end()) rooms.push_back(room);
  }
  std::ranges::sort(rooms);

  std::string out;
  for (const std::string& room : rooms) {
    out += (out.empty() ? "## " : "\n## ") + room + "\n\n| setting | type | default | |\n|---|---|---|---|\n";
    for (const Field& field : fields_) {
      if (parts_of(field.key).front() != room) continue;
      out += "| `" + field.key + "` | " + markdown_cell(field.type);
      if (!field.limits.empty()) out += " " + field.limits;
      if (field.secret) out += " (secret)";
      const bool show = !field.secret && !field.default_text.empty();
      out += " | " + (show ? "`" + markdown_cell(field.default_text) + "`" : std::string()) + " | ";
      out += markdown_cell(field.doc) + " |\n";
    }
  }
  return out;
}

}  // namespace flux::config
