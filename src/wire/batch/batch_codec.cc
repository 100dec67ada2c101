#include "wire/batch/batch_codec.h"

#include <algorithm>
#include <bit>
#include <boost/unordered/unordered_flat_map.hpp>
#include <cstring>
#include <string>
#include <string_view>
#include <unordered_set>

namespace flux::wire::batch {
namespace {

static_assert(std::endian::native == std::endian::little, "columns are written as they lie in memory");

constexpr std::uint32_t kLayout = 1;
constexpr std::uint32_t kHasValidity = 1U << 31;
constexpr std::size_t kHeaderBytes = 32;
constexpr std::size_t kGroupBytes = 8;

struct Header {
  std::uint32_t definitions;
  std::uint32_t definition_bytes;
  std::uint32_t groups;
  std::uint32_t heap_bytes;
  std::int64_t received_at;
  std::uint32_t first_id;
  std::uint32_t layout;
};
static_assert(sizeof(Header) == kHeaderBytes);

struct GroupEntry {
  std::uint32_t shape;
  std::uint32_t rows;
};
static_assert(sizeof(GroupEntry) == kGroupBytes);

struct FingerprintHash {
  using is_avalanching = void;
  std::size_t operator()(const Fingerprint& f) const noexcept { return f.low; }
};

void put_text(std::string_view text, Gather& out) {
  out.copy(static_cast<std::uint32_t>(text.size()));
  out.copy(text.data(), text.size());
}

void put_definition(const ShapeKey& key, Gather& out) {
  out.copy(key.tenant.value);
  out.copy(static_cast<std::uint32_t>(key.tags.size()));
  out.copy(static_cast<std::uint32_t>(key.fields.size()));
  put_text(key.database, out);
  put_text(key.retention_policy, out);
  put_text(key.measurement, out);
  put_text(key.device, out);
  for (const Tag& tag : key.tags) {
    put_text(tag.key, out);
    put_text(tag.value, out);
  }
  for (const FieldDef& field : key.fields) put_text(field.name, out);
  for (const FieldDef& field : key.fields) out.copy(static_cast<std::uint8_t>(field.type));
}

/// Walks over bytes; every step is checked against the end.
class Cursor {
 public:
  explicit Cursor(std::span<const std::byte> bytes) : bytes_(bytes) {}

  [[nodiscard]] std::size_t at() const { return at_; }
  [[nodiscard]] std::size_t left() const { return bytes_.size() - at_; }

  template <class T>
  Result<T> take(const char* what) {
    if (left() < sizeof(T)) return short_of(what);
    T value;
    std::memcpy(&value, bytes_.data() + at_, sizeof value);
    at_ += sizeof value;
    return value;
  }
  Result<std::span<const std::byte>> take_bytes(std::size_t size, const char* what) {
    if (left() < size) return short_of(what);
    const auto taken = bytes_.subspan(at_, size);
    at_ += size;
    return taken;
  }
  Result<std::string> take_text(const char* what) {
    TRY(const auto size, take<std::uint32_t>(what));
    TRY(const auto bytes, take_bytes(size, what));
    return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }
  [[nodiscard]] std::unexpected<Error> wrong(const std::string& what) const {
    return fail(ErrorCode::corrupt, "batch, byte " + std::to_string(at_) + ": " + what);
  }

 private:
  [[nodiscard]] std::unexpected<Error> short_of(const char* what) const {
    return wrong(std::string(what) + " goes beyond the end (" + std::to_string(left()) + " bytes left)");
  }

  std::span<const std::byte> bytes_;
  std::size_t at_ = 0;
};

Result<ShapePtr> take_definition(Cursor& in) {
  ShapeKey key;
  TRY(key.tenant.value, in.take<std::uint32_t>("a tenant"));
  TRY(const auto tags, in.take<std::uint32_t>("a number of tags"));
  TRY(const auto fields, in.take<std::uint32_t>("a number of fields"));
  // Every tag takes at least eight bytes and every field five: what promises more than is there is refused before any
  // memory is taken for it.
  if (tags > in.left() / 8) return in.wrong(std::to_string(tags) + " tags do not fit");
  if (fields == 0 || fields > in.left() / 5) return in.wrong(std::to_string(fields) + " fields do not fit");
  TRY(key.database, in.take_text("a database"));
  TRY(key.retention_policy, in.take_text("a retention policy"));
  TRY(key.measurement, in.take_text("a measurement"));
  TRY(key.device, in.take_text("a device"));
  key.tags.resize(tags);
  for (std::size_t i = 0; i < tags; ++i) {
    TRY(key.tags[i].key, in.take_text("a tag's key"));
    TRY(key.tags[i].value, in.take_text("a tag's value"));
    if (i > 0 && key.tags[i - 1].key >= key.tags[i].key) return in.wrong("tags are not sorted by unique keys");
  }
  key.fields.resize(fields);
  for (FieldDef& field : key.fields) {
    TRY(field.name, in.take_text("a field's name"));
  }
  if (fields > 1) {
    std::unordered_set<std::string_view> names;
    for (const FieldDef& field : key.fields)
      if (!names.insert(field.name).second) return in.wrong("two fields have one name");
  }
  for (FieldDef& field : key.fields) {
    TRY(const auto type, in.take<std::uint8_t>("a field's type"));
    if (type < 1 || type > 5) return in.wrong("there is no field type " + std::to_string(type));
    field.type = static_cast<ValueType>(type);
  }
  return std::make_shared<const Shape>(std::move(key));
}

Result<Header> take_header(Cursor& in) {
  TRY(const auto header, in.take<Header>("the header"));
  if (header.layout != kLayout) return in.wrong("there is no layout " + std::to_string(header.layout));
  if (header.definition_bytes % 8 != 0) return in.wrong("definitions do not end at a multiple of 8");
  if (header.definition_bytes > in.left()) return in.wrong("definitions go beyond the end");
  if (header.definitions > header.definition_bytes / 8) return in.wrong("more definitions than fit into their bytes");
  if (std::size_t{header.first_id} + header.definitions > Decoder::kMaxShapes)
    return in.wrong("a shape id is too high");
  return header;
}

Result<> take_definitions(Cursor& in, const Header& header, std::vector<ShapePtr>& shapes) {
  const std::size_t end = in.at() + header.definition_bytes;
  for (std::size_t i = 0; i < header.definitions; ++i) {
    TRY(ShapePtr shape, take_definition(in));
    if (in.at() > end) return in.wrong("definitions are longer than the header says");
    const std::size_t id = header.first_id + i;
    if (id >= shapes.size()) shapes.resize(id + 1);
    shapes[id] = std::move(shape);
  }
  if (end - in.at() >= 8) return in.wrong("definitions are shorter than the header says");
  TRY([[maybe_unused]] const auto padding, in.take_bytes(end - in.at(), "padding"));
  return {};
}

std::vector<std::uint64_t> words_of(std::span<const std::byte> bytes) {
  const std::size_t count = bytes.size() / sizeof(std::uint64_t);
  if (reinterpret_cast<std::uintptr_t>(bytes.data()) % alignof(std::uint64_t) == 0) {
    const auto* first = reinterpret_cast<const std::uint64_t*>(bytes.data());
    return {first, first + count};  // a single copy, without zeroing first
  }
  std::vector<std::uint64_t> words(count);
  if (count > 0) std::memcpy(words.data(), bytes.data(), bytes.size());
  return words;
}

}  // namespace

struct Encoder::State {
  std::vector<ShapePtr> shapes;  // by id; kept alive, so that an address stands for one shape
  boost::unordered_flat_map<Fingerprint, std::uint32_t, FingerprintHash> by_fingerprint;
  std::vector<GroupEntry> groups;  // of the batch at hand
};

Encoder::Encoder() : state_(std::make_unique<State>()) {}
Encoder::~Encoder() = default;
Encoder::Encoder(Encoder&&) noexcept = default;
Encoder& Encoder::operator=(Encoder&&) noexcept = default;

void Encoder::encode(const TelemetryBatch& batch, Gather& out) {
  State& s = *state_;
  const std::size_t known = s.shapes.size();
  s.groups.clear();
  for (const auto& group : batch.groups()) {
    const ShapePtr& shape = group.shape_ptr();
    auto [at, is_new] = s.by_fingerprint.try_emplace(shape->fingerprint(), static_cast<std::uint32_t>(s.shapes.size()));
    std::uint32_t id = at->second;
    if (!is_new && s.shapes[id] != shape && s.shapes[id]->key() != shape->key()) {
      // Two keys with one fingerprint: the newcomer is defined at every use instead of being taken for the other.
      id = static_cast<std::uint32_t>(s.shapes.size());
      is_new = true;
    }
    if (is_new) s.shapes.push_back(shape);
    s.groups.push_back({id, static_cast<std::uint32_t>(group.rows()) | (group.has_validity() ? kHasValidity : 0)});
  }

  Header header{.definitions = static_cast<std::uint32_t>(s.shapes.size() - known),
                .definition_bytes = 0,
                .groups = static_cast<std::uint32_t>(s.groups.size()),
                .heap_bytes = static_cast<std::uint32_t>(batch.heap().size()),
                .received_at = batch.received_at().ns,
                .first_id = static_cast<std::uint32_t>(known),
                .layout = kLayout};
  const std::size_t header_at = out.reserve(sizeof header);
  const std::size_t definitions_at = out.size();
  for (std::size_t id = known; id < s.shapes.size(); ++id) put_definition(s.shapes[id]->key(), out);
  const std::size_t over = (out.size() - definitions_at) % 8;
  if (over != 0) out.reserve(8 - over);
  header.definition_bytes = static_cast<std::uint32_t>(out.size() - definitions_at);
  std::memcpy(out.filled(header_at), &header, sizeof header);

  out.copy(s.groups.data(), s.groups.size() * sizeof(GroupEntry));
  out.refer(batch.words().data(), batch.words().size_bytes());
  out.refer(batch.heap().data(), batch.heap().size());
  if (batch.heap().size() % 8 != 0) out.reserve(8 - batch.heap().size() % 8);
}

std::size_t Encoder::shape_count() const { return state_->shapes.size(); }

void Encoder::forget_from(std::size_t count) {
  State& s = *state_;
  while (s.shapes.size() > count) {
    const auto found = s.by_fingerprint.find(s.shapes.back()->fingerprint());
    if (found != s.by_fingerprint.end() && found->second == s.shapes.size() - 1) s.by_fingerprint.erase(found);
    s.shapes.pop_back();
  }
}

Result<BatchPtr> Decoder::decode(std::span<const std::byte> bytes) {
  Cursor in(bytes);
  TRY(const Header header, take_header(in));
  DO(take_definitions(in, header, shapes_));
  if (header.groups > in.left() / kGroupBytes) return in.wrong(std::to_string(header.groups) + " groups do not fit");

  std::vector<TelemetryBatch::GroupSpec> specs;
  specs.reserve(header.groups);
  std::size_t words = 0;
  for (std::size_t i = 0; i < header.groups; ++i) {
    TRY(const auto entry, in.take<GroupEntry>("a group"));
    if (entry.shape >= shapes_.size() || !shapes_[entry.shape])
      return in.wrong("shape " + std::to_string(entry.shape) + " is not defined");
    const std::size_t rows = entry.rows & ~kHasValidity;
    const bool has_validity = (entry.rows & kHasValidity) != 0;
    if (rows == 0) return in.wrong("a group has no rows");
    const std::size_t fields = shapes_[entry.shape]->field_count();
    // Rows fit into 31 bits and fields into 30, so this cannot wrap round; the sum is checked as it grows.
    words += rows * (1 + fields) + (has_validity ? fields * ((rows + 63) / 64) : 0);
    if (words > in.left() / sizeof(Cell)) return in.wrong("columns go beyond the end");
    specs.push_back({shapes_[entry.shape], static_cast<std::uint32_t>(rows), has_validity});
  }
  TRY(const auto columns, in.take_bytes(words * sizeof(Cell), "columns"));
  TRY(const auto heap, in.take_bytes(header.heap_bytes, "the heap"));
  if (in.left() >= 8) return in.wrong(std::to_string(in.left()) + " bytes too many");
  std::string text(reinterpret_cast<const char*>(heap.data()), heap.size());
  return TelemetryBatch::assemble(std::move(specs), words_of(columns), std::move(text), Time{header.received_at});
}

Result<> Decoder::learn(std::span<const std::byte> bytes) {
  Cursor in(bytes);
  TRY(const Header header, take_header(in));
  return take_definitions(in, header, shapes_);
}

std::vector<std::byte> encode_alone(const TelemetryBatch& batch) {
  Encoder encoder;
  Gather out;
  encoder.encode(batch, out);
  std::vector<std::byte> bytes(out.size());
  std::size_t at = 0;
  for (const Piece& piece : out.pieces()) {
    if (piece.size > 0) std::memcpy(bytes.data() + at, piece.data, piece.size);
    at += piece.size;
  }
  return bytes;
}

}  // namespace flux::wire::batch
