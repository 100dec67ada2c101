#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "bus/embedded/partition_log.h"

namespace flux::bus::embedded {

/// Reads the tail from memory, and what lies before it from the segment files in big pieces.
class PartitionReader final : public Reader {
 public:
  PartitionReader(PartitionLog& log, Offset from);
  ~PartitionReader() override;

  Result<std::vector<Record>> read(std::size_t max_bytes) override;
  [[nodiscard]] Offset position() const override { return position_; }
  Result<> seek(Offset offset) override;
  Result<std::uint64_t> skip_damage() override;
  void on_ready(std::move_only_function<void()> ready) override;

 private:
  /// Fills `decoded_` with the records of the record batch that holds `position_`, from the files. `end`: records from
  /// there on are not durable, and their bytes not to be looked at.
  Result<> load(Offset end, std::size_t max_bytes);
  Result<> locate(Offset end);
  Result<> open_segment(PartitionLog::Place place);
  Result<> learn(const Located& batch);
  /// False when a record in the middle is bad and only those before it were taken.
  Result<bool> decode(const BatchHeader& header, std::span<const std::byte> payload);
  Result<Record> decode_record(std::span<const std::byte> payload, std::size_t& at, bool wanted);
  /// The bytes [at, at + size) of the segment; fewer at its end.
  Result<std::span<const std::byte>> bytes(std::uint64_t at, std::size_t size);
  [[nodiscard]] std::unexpected<Error> damaged(std::uint64_t at, const std::string& what) const;
  bool take_decoded(std::vector<Record>& records, std::size_t& bytes, std::size_t max_bytes);
  void leave_file();

  PartitionLog& log_;
  Offset position_;
  WaiterPtr waiter_ = std::make_shared<Waiter>();

  // Records of the record batch read last that did not fit into the answer.
  std::vector<Record> decoded_;
  std::vector<std::size_t> decoded_bytes_;
  std::size_t next_decoded_ = 0;

  // Where the next record batch lies. `at_` is right only while the reader stays in the files.
  SegmentPtr segment_;
  std::optional<Offset> next_base_;
  std::unique_ptr<File> file_;
  SegmentHeader header_;
  std::uint64_t at_ = 0;
  wire::batch::Decoder decoder_;

  std::vector<std::uint64_t> chunk_;  // 64-bit words, so that columns are aligned as in the file
  std::size_t chunk_size_ = 0;
  std::uint64_t chunk_at_ = 0;
  Offset chunk_end_;  // records from here on were not durable when the chunk was read
  std::size_t chunk_wish_ = 0;

  enum class Damaged : std::uint8_t { no, bytes, batch, record };
  Damaged damaged_ = Damaged::no;
  Offset damaged_next_;  // behind the record batch or record
};

}  // namespace flux::bus::embedded
