#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "core/result.h"
#include "core/shape.h"
#include "core/telemetry_batch.h"
#include "wire/batch/gather.h"

/// `TelemetryBatch` as bytes. Shapes are spelled out once, where they are first used, and named by a number from then
/// on: in the embedded log the dictionary of numbers lasts for a segment, elsewhere for one batch.
///
/// Little endian; every part starts at a multiple of 8, so that columns are copied as they are.
///
/// ```
///  0  u32  definitions          how many shapes are defined here
///  4  u32  definition bytes     a multiple of 8
///  8  u32  groups
/// 12  u32  heap bytes
/// 16  i64  received at          ns since 1970
/// 24  u32  first id             of the definitions; they are numbered on from it
/// 28  u32  layout               1
/// 32  definitions               each: u32 tenant, u32 tags, u32 fields, then texts: database, retention policy,
///                               measurement, device, key and value of each tag, name of each field; then u8 type of
///                               each field. A text is u32 length and bytes. Zeros to a multiple of 8 after the last.
///     groups                    each: u32 shape id, u32 rows; the top bit of rows says that validity follows
///     words                     the batch's columns as core/telemetry_batch.h lays them out
///     heap                      zeros to a multiple of 8
/// ```
///
/// One row, tenant 1, database `default`, policy `autogen`, measurement `m`, device `d`, no tags, one double `t`:
///
/// ```
/// 01 00 00 00  38 00 00 00  01 00 00 00  00 00 00 00   1 definition of 56 bytes, 1 group, no heap
/// 01 00 00 00  00 00 00 00  00 00 00 00  01 00 00 00   received at 1 ns; first id 0; layout 1
/// 01 00 00 00  00 00 00 00  01 00 00 00                tenant 1, no tags, 1 field
/// 07 00 00 00  64 65 66 61 75 6c 74                    "default"
/// 07 00 00 00  61 75 74 6f 67 65 6e                    "autogen"
/// 01 00 00 00  6d   01 00 00 00  64                    "m" "d"
/// 01 00 00 00  74   01   00 00 00 00 00 00             "t", type 1; padding
/// 00 00 00 00  01 00 00 00                             shape 0, 1 row, no validity
/// 02 00 00 00 00 00 00 00                              its time: 2 ns
/// 00 00 00 00 00 00 f8 3f                              its value: 1.5
/// ```
namespace flux::wire::batch {

/// Gives numbers to shapes and writes batches by them. One thread.
class Encoder {
 public:
  Encoder();
  ~Encoder();
  Encoder(Encoder&&) noexcept;
  Encoder& operator=(Encoder&&) noexcept;

  /// Appends `batch`, which must live until `out` is written: its columns are referred to.
  void encode(const TelemetryBatch& batch, Gather& out);

  /// Shapes numbered so far. Bytes that use a number are useless without the ones that defined it.
  [[nodiscard]] std::size_t shape_count() const;
  /// Forgets the numbers from `count` on: the bytes that defined them were not written after all.
  void forget_from(std::size_t count);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Reads what one `Encoder` wrote, in the same order. One thread.
///
/// Survives any bytes: fails with `corrupt`, which names the byte, and takes memory in proportion to the input only.
class Decoder {
 public:
  /// More numbers than this are never given to shapes.
  static constexpr std::size_t kMaxShapes = 1U << 20;

  Result<BatchPtr> decode(std::span<const std::byte> bytes);

  /// Takes in the definitions alone: of batches that are passed over on the way to a later one.
  Result<> learn(std::span<const std::byte> bytes);

  /// Starts over with an empty dictionary.
  void clear() { shapes_.clear(); }

 private:
  std::vector<ShapePtr> shapes_;  // by id; null where the definition was passed over
};

/// A batch on its own, with all its definitions: for tests, and for whoever has no segment.
std::vector<std::byte> encode_alone(const TelemetryBatch& batch);

}  // namespace flux::wire::batch
