#pragma once

#include <coroutine>

namespace flux::runtime {

/// A spawned coroutine that nobody awaits: linked so that the shard can destroy what still waits when it ends.
struct RootNode {
  RootNode() = default;
  RootNode(const RootNode&) = delete;
  RootNode& operator=(const RootNode&) = delete;
  ~RootNode() { unlink(); }

  void unlink() {
    if (next == nullptr) return;
    next->previous = previous;
    previous->next = next;
    next = previous = nullptr;
  }

  RootNode* next = nullptr;
  RootNode* previous = nullptr;
  std::coroutine_handle<> handle;
};

class RootList {
 public:
  RootList() { head_.next = head_.previous = &head_; }
  ~RootList() {
    destroy_all();
    head_.next = nullptr;
  }

  void add(RootNode& node) {
    node.next = head_.next;
    node.previous = &head_;
    head_.next->previous = &node;
    head_.next = &node;
  }
  [[nodiscard]] bool empty() const { return head_.next == &head_; }
  void destroy_all() {
    while (!empty()) {
      RootNode& node = *head_.next;
      node.unlink();
      node.handle.destroy();
    }
  }

 private:
  RootNode head_;
};

}  // namespace flux::runtime
