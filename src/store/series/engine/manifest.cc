#include "store/series/engine/manifest.h"

#include "core/hash.h"
#include "store/series/engine/bytes.h"

namespace flux::store::engine {
namespace {

constexpr std::string_view kMagic = "FLUXMANI";
constexpr std::uint16_t kVersion = 1;
constexpr std::uint8_t kRawSensorData = 0;  // bus::Topic: the only topic that the store is filled from

void put_texts(const std::vector<std::string>& texts, std::string& out) {
  put_varint(out, texts.size());
  for (const std::string& text : texts) put_text(out, text);
}

std::vector<std::string> get_texts(ByteReader& in) {
  std::vector<std::string> texts(in.count());
  for (std::string& text : texts) text = in.text();
  return texts;
}

void put_part(const PartMeta& part, std::string& out) {
  put_varint(out, part.id);
  put_varint(out, part.bytes);
  put_varint(out, part.first_flush);
  put_varint(out, part.last_flush);
  put_varint(out, part.erased_to);
  put_signed(out, part.first_time);
  put_signed(out, part.last_time);
  put_varint(out, part.values);
  put_varint(out, part.series);
  put_varint(out, part.stems);
  out.push_back(static_cast<char>(part.level));
}

PartMeta get_part(ByteReader& in) {
  PartMeta part;
  part.id = in.varint();
  part.bytes = in.varint();
  part.first_flush = in.varint();
  part.last_flush = in.varint();
  part.erased_to = in.varint();
  part.first_time = in.signed_varint();
  part.last_time = in.signed_varint();
  part.values = in.varint();
  part.series = in.varint();
  part.stems = in.varint();
  part.level = in.fixed<std::uint8_t>();
  return part;
}

void put_tombstone(const Tombstone& tombstone, std::string& out) {
  put_varint(out, tombstone.flush);
  put_varint(out, tombstone.order);
  put_varint(out, tombstone.partition.value);
  const SeriesSelector& selector = tombstone.selector;
  put_varint(out, selector.tenant.value);
  put_text(out, selector.database);
  put_text(out, selector.retention_policy);
  put_texts(selector.measurements, out);
  put_texts(selector.devices, out);
  put_texts(selector.fields, out);
  put_varint(out, selector.tags.size());
  for (const Tag& tag : selector.tags) {
    put_text(out, tag.key);
    put_text(out, tag.value);
  }
  put_signed(out, tombstone.range.from.ns);
  put_signed(out, tombstone.range.to.ns);
}

Tombstone get_tombstone(ByteReader& in) {
  Tombstone tombstone;
  tombstone.flush = in.varint();
  tombstone.order = static_cast<std::uint32_t>(in.varint());
  tombstone.partition.value = static_cast<std::uint16_t>(in.varint());
  SeriesSelector& selector = tombstone.selector;
  selector.tenant.value = static_cast<std::uint32_t>(in.varint());
  selector.database = in.text();
  selector.retention_policy = in.text();
  selector.measurements = get_texts(in);
  selector.devices = get_texts(in);
  selector.fields = get_texts(in);
  selector.tags.resize(in.count(2));
  for (Tag& tag : selector.tags) {
    tag.key = in.text();
    tag.value = in.text();
  }
  tombstone.range.from.ns = in.signed_varint();
  tombstone.range.to.ns = in.signed_varint();
  return tombstone;
}

}  // namespace

std::string encode(const Manifest& manifest) {
  std::string out(kMagic);
  put_fixed(out, kVersion);
  put_fixed(out, std::uint16_t{0});  // flags
  put_fixed(out, std::uint32_t{0});  // key id: not encrypted
  out.append(16, '\0');              // nonce
  put_varint(out, manifest.generation);
  put_varint(out, manifest.next_part);
  put_varint(out, manifest.flushed);
  put_varint(out, manifest.resume.size());
  for (const auto& [partition, offset] : manifest.resume) {
    out.push_back(static_cast<char>(kRawSensorData));
    put_varint(out, partition.value);
    put_varint(out, offset.value);
  }
  put_varint(out, manifest.parts.size());
  for (const PartMeta& part : manifest.parts) put_part(part, out);
  put_varint(out, manifest.tombstones.size());
  for (const Tombstone& tombstone : manifest.tombstones) put_tombstone(tombstone, out);
  put_fixed(out, crc32c(std::as_bytes(std::span(out))));
  return out;
}

Result<Manifest> decode_manifest(std::string_view bytes) {
  const auto damaged = [] { return fail(ErrorCode::corrupt, "damaged manifest"); };
  if (bytes.size() < 36 || !bytes.starts_with(kMagic)) return damaged();
  ByteReader end(bytes.substr(bytes.size() - 4));
  bytes.remove_suffix(4);
  if (end.fixed<std::uint32_t>() != crc32c(std::as_bytes(std::span(bytes)))) return damaged();
  ByteReader in(bytes.substr(kMagic.size()));
  const auto version = in.fixed<std::uint16_t>();
  const auto flags = in.fixed<std::uint16_t>();
  const auto key = in.fixed<std::uint32_t>();
  (void)in.bytes(16);
  if (version != kVersion)
    return fail(ErrorCode::corrupt,
                "manifest of format version " + std::to_string(version) + ", this program reads up to 1");
  if (flags != 0 || key != 0) return fail(ErrorCode::corrupt, "manifest is encrypted, and there is no key");
  Manifest manifest;
  manifest.generation = in.varint();
  manifest.next_part = in.varint();
  manifest.flushed = in.varint();
  for (std::uint64_t left = in.count(3); left > 0; --left) {
    if (in.fixed<std::uint8_t>() != kRawSensorData) in.set_bad();
    const PartitionId partition{static_cast<std::uint16_t>(in.varint())};
    manifest.resume[partition] = {in.varint()};
  }
  for (std::uint64_t left = in.count(11); left > 0; --left) manifest.parts.push_back(get_part(in));
  for (std::uint64_t left = in.count(11); left > 0; --left) manifest.tombstones.push_back(get_tombstone(in));
  if (!in.done()) return damaged();
  return manifest;
}

}  // namespace flux::store::engine
