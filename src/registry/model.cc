#include "registry/model.h"

#include <algorithm>
#include <array>
#include <cstdio>

#include "core/utf8.h"
#include "observe/printable.h"

namespace flux::registry {

namespace {

constexpr std::size_t kNameBytes = 128;
constexpr std::size_t kLabelLimit = 64;
constexpr std::size_t kLabelKeyBytes = 64;
constexpr std::size_t kLabelValueBytes = 256;

/// 1 to `limit` bytes of UTF-8, without control characters and without any byte of `forbidden`.
Result<> check_name(std::string_view text, std::string_view what, std::string_view forbidden, std::size_t limit,
                    std::string_view field) {
  const auto refuse = [&](std::string why) {
    return fail(ErrorCode::invalid_argument, std::string(what) + " " + std::move(why), std::string(field));
  };
  if (text.empty()) return refuse("must not be empty");
  if (text.size() > limit) {
    return refuse("has " + std::to_string(text.size()) + " bytes; at most " + std::to_string(limit) + " are allowed");
  }
  if (const std::size_t bad = invalid_utf8_at(text); bad != std::string_view::npos) {
    return refuse("is not valid UTF-8 at byte " + std::to_string(bad));
  }
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    // U+0080 to U+009F are control characters too: C2 80 to C2 9F.
    const bool c1 = byte == 0xC2 && static_cast<unsigned char>(text[i + 1]) < 0xA0;
    if (byte < 0x20 || byte == 0x7F || c1) {
      std::array<char, 80> why{};
      const unsigned code = c1 ? static_cast<unsigned char>(text[i + 1]) : byte;
      std::snprintf(why.data(), why.size(), "must not contain control characters (U+%04X at byte %zu)", code, i);
      return refuse(why.data());
    }
    if (forbidden.contains(text[i])) {
      return refuse("must not contain `" + std::string(1, text[i]) + "` (at byte " + std::to_string(i) + ")");
    }
  }
  return {};
}

}  // namespace

Result<> check_device_id(std::string_view id, std::string_view field) {
  DO(check_name(id, "a device id", "/+#", kNameBytes, field));
  const auto refuse = [&](const std::string& why) {
    return fail(ErrorCode::invalid_argument, "a device id " + why, std::string(field));
  };
  // Programs and browsers take them for folders, and a path with them for another one.
  if (id == "." || id == "..") return refuse("must not be `" + std::string(id) + "`");
  bool blank = true;
  for (std::size_t at = 0; at < id.size(); ++at) {
    const std::string_view rest = id.substr(at);
    if (const auto unseen = observe::unseen_at(rest)) {
      std::array<char, 96> why{};
      std::snprintf(why.data(), why.size(), "must not contain characters that turn or break lines (U+%04X at byte %zu)",
                    static_cast<unsigned>(unseen->code), at);
      return refuse(why.data());
    }
    // U+0020, U+00A0, U+2000 to U+200B, U+3000.
    if (rest.starts_with(' ')) continue;
    if (rest.starts_with("\xC2\xA0")) at += 1;
    else if (rest.starts_with("\xE2\x80") && static_cast<unsigned char>(rest[2]) <= 0x8B) at += 2;
    else if (rest.starts_with("\xE3\x80\x80")) at += 2;
    else blank = false;
  }
  if (blank) return refuse("must not consist of blanks");
  return {};
}
Result<> check_metric_name(std::string_view name, std::string_view field) {
  return check_name(name, "a metric's name", "", kNameBytes, field);
}
Result<> check_profile_id(std::string_view id, std::string_view field) {
  return check_name(id, "a profile's id", "/", kNameBytes, field);
}

Result<Labels> check_labels(Labels labels, std::string_view field) {
  const auto path = [&](std::string_view key) { return std::string(field) + "." + std::string(key); };
  if (labels.size() > kLabelLimit) {
    return fail(ErrorCode::invalid_argument,
                std::to_string(labels.size()) + " labels; at most " + std::to_string(kLabelLimit) + " are allowed",
                std::string(field));
  }
  for (const auto& [key, value] : labels) {
    DO(check_name(key, "a label's key", ":", kLabelKeyBytes, field));
    if (value.size() > kLabelValueBytes) {
      return fail(ErrorCode::invalid_argument,
                  "a label's value has at most " + std::to_string(kLabelValueBytes) + " bytes", path(key));
    }
    if (!is_utf8(value)) {
      return fail(ErrorCode::invalid_argument, "a label's value is valid UTF-8", path(key));
    }
  }
  std::ranges::sort(labels);
  const auto same =
      std::ranges::adjacent_find(labels, {}, [](const auto& label) { return std::string_view(label.first); });
  if (same != labels.end()) return fail(ErrorCode::invalid_argument, "the label stands there twice", path(same->first));
  return labels;
}

const std::string* find_label(const Labels& labels, std::string_view key) {
  const auto found =
      std::ranges::lower_bound(labels, key, {}, [](const auto& label) { return std::string_view(label.first); });
  return found != labels.end() && found->first == key ? &found->second : nullptr;
}

const ProfileMetric* Profile::find(std::string_view metric) const {
  const auto found = std::ranges::find(metrics, metric, &ProfileMetric::name);
  return found != metrics.end() ? &*found : nullptr;
}

bool Profile::same_as(const Profile& other) const {
  return id == other.id && name == other.name && metrics == other.metrics && silent_after == other.silent_after &&
         labels == other.labels && commands == other.commands;
}

Labels DeviceSettings::effective_labels() const {
  Labels merged = *labels;
  if (const ProfilePtr current = profile()) {
    for (const auto& label : current->labels) {
      if (find_label(*labels, label.first) == nullptr) merged.push_back(label);
    }
    std::ranges::sort(merged);
  }
  return merged;
}

std::string_view to_string(DeviceState state) {
  switch (state) {
    case DeviceState::never: return "never";
    case DeviceState::online: return "online";
    case DeviceState::silent: return "silent";
  }
  return "never";
}

}  // namespace flux::registry
