#include "broker/retained.h"

#include <algorithm>
#include <mutex>

#include "wire/mqtt/topic.h"

namespace flux::broker {

Result<std::uint64_t> RetainedStore::set(MessagePtr message) {
  const std::unique_lock lock(mutex_);
  const Content& content = message->content();
  if (!content.payload.empty()) {
    const auto tenant = tenants_.find(content.tenant);
    const bool known = tenant != tenants_.end() && tenant->second.contains(content.topic);
    if (!known && size_ >= max_messages_)
      return fail(ErrorCode::exhausted, "there are " + std::to_string(max_messages_) +
                                            " retained messages already (ingest.mqtt.broker.retained_messages)");
    if (bytes_ + message->bytes() > max_bytes_)
      return fail(ErrorCode::exhausted, "retained messages take their " + std::to_string(max_bytes_) +
                                            " bytes already (ingest.mqtt.broker.retained_bytes)");
  }
  put(std::move(message), ++last_change_);
  return last_change_;
}

void RetainedStore::restore(MessagePtr message, std::uint64_t change) {
  const std::unique_lock lock(mutex_);
  last_change_ = std::max(last_change_, change);
  const auto tenant = tenants_.find(message->content().tenant);
  if (tenant != tenants_.end()) {
    const auto known = tenant->second.find(message->content().topic);
    if (known != tenant->second.end() && known->second.change > change) return;
  }
  std::uint64_t& cleared = cleared_[{message->content().tenant, std::string(message->content().topic)}];
  if (cleared > change) return;
  if (message->content().payload.empty()) cleared = change;
  put(std::move(message), change);
}

void RetainedStore::put(MessagePtr message, std::uint64_t change) {
  const Content& content = message->content();
  Topics& topics = tenants_[content.tenant];
  const auto known = topics.find(content.topic);
  if (known != topics.end()) bytes_ -= known->second.message->bytes();
  if (content.payload.empty()) {
    if (known != topics.end()) {
      topics.erase(known);
      --size_;
    }
    if (topics.empty()) tenants_.erase(content.tenant);
    return;
  }
  bytes_ += message->bytes();
  if (known != topics.end()) {
    known->second = {std::move(message), change};
    return;
  }
  ++size_;
  std::string topic(content.topic);
  topics.emplace(std::move(topic), Kept{std::move(message), change});
}

std::vector<MessagePtr> RetainedStore::find(TenantId tenant, std::string_view filter, Time now) const {
  // Topics that begin as the filter does up to its first wildcard lie side by side.
  std::string_view prefix = filter.substr(0, filter.find_first_of("+#"));
  const bool wild = prefix.size() < filter.size();
  // `a/#` includes `a`.
  if (wild && filter[prefix.size()] == '#' && !prefix.empty()) prefix.remove_suffix(1);
  std::vector<MessagePtr> found;
  const std::shared_lock lock(mutex_);
  const auto topics = tenants_.find(tenant);
  if (topics == tenants_.end()) return found;
  if (!wild) {
    const auto exact = topics->second.find(filter);
    if (exact != topics->second.end() && !exact->second.message->content().expired(now))
      found.push_back(exact->second.message);
    return found;
  }
  for (auto at = topics->second.lower_bound(prefix); at != topics->second.end() && at->first.starts_with(prefix);
       ++at) {
    if (at->second.message->content().expired(now) || !wire::mqtt::matches(filter, at->first)) continue;
    found.push_back(at->second.message);
  }
  return found;
}

std::vector<RetainedStore::Kept> RetainedStore::page(TenantId tenant, std::string_view after, std::size_t most) const {
  std::vector<Kept> kept;
  const std::shared_lock lock(mutex_);
  const auto topics = tenants_.find(tenant);
  if (topics == tenants_.end()) return kept;
  for (auto at = topics->second.upper_bound(after); at != topics->second.end() && kept.size() < most; ++at)
    kept.push_back(at->second);
  return kept;
}

TenantId RetainedStore::next_tenant(TenantId tenant) const {
  const std::shared_lock lock(mutex_);
  const auto next = tenants_.upper_bound(tenant);
  return next == tenants_.end() ? TenantId{} : next->first;
}

std::size_t RetainedStore::size() const {
  const std::shared_lock lock(mutex_);
  return size_;
}

std::size_t RetainedStore::bytes() const {
  const std::shared_lock lock(mutex_);
  return bytes_;
}

}  // namespace flux::broker
