#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"
#include "wire/processed/processed.h"

/// `ProcessedBatch` as bytes: a record of the topic processed-data. Each stands for itself: a reader needs no other.
///
/// Little endian; the batch starts at a multiple of 8.
///
/// ```
///  0  u32  layout               1
///  4  u32  devices              how many are spelled out
///  8  u32  device bytes         of what follows the header, up to the batch: a multiple of 8
/// 12  u16  partition ┐
/// 14  u16  0         │          of the record of raw-sensor-data that the readings came in
/// 16  u64  offset    ┘
/// 24  devices                   each as a `wire::control::Packer` writes it: tenant, device, name, profile; number of
///                               labels, key and value of each; 1 and latitude, longitude, place, or 0; number of
///                               units, metric and unit of each (of the metrics that the batch has, and no others)
///     one number per group      which of the devices it is of
///     zeros to a multiple of 8
///     the batch                 wire/batch/batch_codec.h, with all its definitions
/// ```
///
/// Device `d` of tenant 1 with the profile `p` and nothing else, record 5 of partition 2:
///
/// ```
/// 01 00 00 00  01 00 00 00  10 00 00 00  02 00  00 00  layout 1, 1 device in 16 bytes; partition 2
/// 05 00 00 00 00 00 00 00                              offset 5
/// 01  01 64  00  01 70  00  00  00                     tenant 1, "d", no name, "p", no labels, place or units
/// 00  00 00 00 00 00 00                                the first group is of device 0; padding
/// ..                                                   the batch
/// ```
namespace flux::wire::processed {

std::string encode(const ProcessedBatch& batch);

/// A record is about this large at most, unless a single row is larger. Not a setting: a record that is processed
/// again must come to the same parts.
inline constexpr std::size_t kPartBytes = 1 << 20;

/// The same in as many records as it takes; rows stay in order. What fits into one is not copied to be cut.
std::vector<std::string> encode_parts(const ProcessedBatch& batch, std::size_t part_bytes = kPartBytes);

/// `corrupt` says what is wrong and at which byte. Takes memory in proportion to the input only.
Result<ProcessedBatch> decode(std::string_view bytes);

}  // namespace flux::wire::processed
