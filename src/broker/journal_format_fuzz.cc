#include <cstdint>

#include "broker/journal_format.h"

namespace {

/// Reads everything it is told.
class Looker final : public flux::broker::journal::Visitor {
 public:
  void session(const flux::broker::journal::Session& session) override { look(session.key); }
  void end(std::uint64_t id) override { sum += id; }
  void away(std::uint64_t id, std::uint32_t /*expiry_s*/, flux::Time /*since*/) override { sum += id; }
  void subscribe(const flux::broker::journal::Subscribe& subscribe) override { look(subscribe.filter); }
  void unsubscribe(std::uint64_t /*id*/, std::string_view filter) override { look(filter); }
  void message(const flux::broker::Content& content, std::span<const flux::broker::journal::Addressee> to) override {
    look(content);
    for (const auto& one : to) sum += one.number + one.subscription_ids.size();
  }
  void received(std::uint64_t /*id*/, std::uint16_t /*packet_id*/, const flux::broker::Content& content) override {
    look(content);
  }
  void mark(flux::broker::journal::Kind /*kind*/, std::uint64_t /*id*/, std::uint64_t number) override {
    sum += number;
  }
  void retained(const flux::broker::Content& content, std::uint64_t /*change*/) override { look(content); }
  std::uint64_t sum = 0;

 private:
  void look(std::string_view text) {
    for (const char c : text) sum += static_cast<unsigned char>(c);
  }
  void look(const flux::broker::Content& content) {
    look(content.topic);
    look(content.payload);
    look(content.passed_on);
  }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Looker looker;
  (void)flux::broker::journal::read({reinterpret_cast<const char*>(data), size}, looker);
  return 0;
}
