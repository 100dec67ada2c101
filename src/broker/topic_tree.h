#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace flux::broker {

/// Values under topic filters, found by topic name: a tree whose edges are levels. One thread.
///
///     tree.add("site/+/temperature", a);
///     tree.match("site/3/temperature", [](const A& value) { … });
///
/// Filters are valid and not shared (wire/mqtt/topic.h). A match costs by the levels of the topic, not by the number of
/// filters.
template <class T>
class TopicTree {
 public:
  void add(std::string_view filter, T value) {
    Node* node = &root_;
    for (Levels levels(filter); levels.more();) {
      const std::string_view level = levels.next();
      auto found = node->children.find(level);
      if (found == node->children.end())
        found = node->children.emplace(std::string(level), std::make_unique<Node>()).first;
      node = found->second.get();
    }
    node->values.push_back(std::move(value));
    ++size_;
  }

  /// Removes the values under exactly `filter` for which `which` is true; returns how many.
  template <class Which>
  std::size_t remove(std::string_view filter, Which which) {
    std::vector<std::pair<Node*, std::string_view>> path;
    Node* node = &root_;
    for (Levels levels(filter); levels.more();) {
      const std::string_view level = levels.next();
      const auto found = node->children.find(level);
      if (found == node->children.end()) return 0;
      path.emplace_back(node, level);
      node = found->second.get();
    }
    const std::size_t removed = std::erase_if(node->values, which);
    size_ -= removed;
    // What leads to nothing any more goes too.
    while (!path.empty() && node->values.empty() && node->children.empty()) {
      node = path.back().first;
      node->children.erase(node->children.find(path.back().second));
      path.pop_back();
    }
    return removed;
  }

  /// Calls `visit` with each value whose filter matches. Filters that begin with a wildcard do not match `$…`.
  template <class Visit>
  void match(std::string_view topic, Visit visit) const {
    walk(root_, topic, topic.starts_with('$'), visit);
  }

  [[nodiscard]] std::size_t size() const { return size_; }

 private:
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
  };
  struct Node {
    std::unordered_map<std::string, std::unique_ptr<Node>, Hash, std::equal_to<>> children;
    std::vector<T> values;
  };
  /// The levels of a name: `a//b` has three, the middle one empty.
  class Levels {
   public:
    explicit Levels(std::string_view text) : rest_(text) {}
    [[nodiscard]] bool more() const { return more_; }
    std::string_view next() {
      const std::size_t slash = rest_.find('/');
      const std::string_view level = rest_.substr(0, slash);
      more_ = slash != std::string_view::npos;
      rest_ = more_ ? rest_.substr(slash + 1) : std::string_view();
      return level;
    }
    [[nodiscard]] std::string_view rest() const { return rest_; }

   private:
    std::string_view rest_;
    bool more_ = true;
  };

  template <class Visit>
  static void walk(const Node& node, std::string_view rest, bool reserved, Visit& visit) {
    if (node.children.empty()) return;
    if (!reserved) {
      if (const auto all = node.children.find(std::string_view("#")); all != node.children.end())
        give(*all->second, visit);
    }
    const std::size_t slash = rest.find('/');
    const std::string_view level = rest.substr(0, slash);
    const auto down = [&](const Node& next) {
      if (slash != std::string_view::npos) return walk(next, rest.substr(slash + 1), false, visit);
      give(next, visit);
      // `a/#` includes `a`.
      if (const auto all = next.children.find(std::string_view("#")); all != next.children.end())
        give(*all->second, visit);
    };
    if (const auto same = node.children.find(level); same != node.children.end()) down(*same->second);
    if (reserved) return;
    if (const auto any = node.children.find(std::string_view("+")); any != node.children.end()) down(*any->second);
  }
  template <class Visit>
  static void give(const Node& node, Visit& visit) {
    for (const T& value : node.values) visit(value);
  }

  Node root_;
  std::size_t size_ = 0;
};

}  // namespace flux::broker
