#include "ingest/mqtt/session.h"
#include "ingest/mqtt/topics.h"
#include "registry/model.h"

namespace flux::ingest::mqtt {
namespace {

std::string_view reason_word(ErrorCode code, std::string_view otherwise) {
  switch (code) {
    case ErrorCode::permission_denied: return "not_authorized";
    case ErrorCode::exhausted: return "quota";
    case ErrorCode::too_large: return "too_large";
    default: return otherwise;
  }
}

}  // namespace

void Session::bury(std::string_view topic, std::string_view payload, std::uint8_t qos, const Error& error,
                   std::string_view reason, std::string_view device, bool in_part) {
  // What was taken in part is acknowledged with success: then only the sentence tells, if the client wants sentences.
  if (v5() && qos > 0 && (!in_part || explain_)) return;
  if (error.code == ErrorCode::unauthenticated) return;  // the session ends, and its next CONNECT is told
  // A credential of one device writes to that one's letters, whatever it names.
  if (!identity_->device().empty()) device = identity_->device();
  else if (device.empty()) device = device_of(topic);
  if (!device.empty() && !registry::check_device_id(device)) device = {};
  dead_letters_.add({.tenant = identity_->tenant(),
                     .device = device,
                     .client = client_id_,
                     .topic = topic,
                     .payload = payload,
                     .reason = reason_word(error.code, reason),
                     .message = error.field.empty() ? error.message : error.field + ": " + error.message,
                     .received_at = now_},
                    shard_.now());
}

}  // namespace flux::ingest::mqtt
