#include "store/series/engine/sliced_writer.h"

#include <algorithm>

namespace flux::store::engine {

SlicedWriter::SlicedWriter(FileSystem& files, SlicePlan plan, std::function<NewPart()> name_part)
    : files_(files), plan_(std::move(plan)), name_part_(std::move(name_part)), outputs_(plan_.slices().size()) {}

SlicedWriter::~SlicedWriter() {
  if (finished_) return;
  for (Output& output : outputs_) {
    if (output.writer == nullptr) continue;
    output.writer.reset();
    (void)files_.remove(output.part.path);  // what stays is an orphan, which the next start removes
  }
}

void SlicedWriter::begin_series(std::string_view field, ValueType type) {
  field_ = field;
  type_ = type;
}

Result<SlicedWriter::Output*> SlicedWriter::output_for(std::size_t slice) {
  Output& output = outputs_[slice];
  if (output.writer == nullptr) {
    output.part = name_part_();
    TRY(output.writer, PartWriter::create(files_, output.part.path, output.part.id));
  }
  if (!output.in_stem) {
    output.writer->begin_stem(*stem_);
    output.in_stem = true;
  }
  if (!output.in_series) {
    output.writer->begin_series(field_, type_);
    output.in_series = true;
  }
  return &output;
}

Result<> SlicedWriter::add(std::span<const std::int64_t> times, std::span<const Cell> cells) {
  while (!times.empty()) {
    const std::size_t slice = plan_.slice_for(times.front());
    std::size_t count = times.size();
    if (plan_.slices().size() > 1) {
      count = 0;
      while (count < times.size() && plan_.slice_for(times[count]) == slice) {
        // On to the first reading of the next day.
        const std::int64_t day = day_of(times[count]);
        if (day >= INT64_MAX / kDayNs) {
          count = times.size();
        } else {
          const auto next = std::ranges::lower_bound(times.subspan(count), (day + 1) * kDayNs);
          count = static_cast<std::size_t>(next - times.begin());
        }
      }
    }
    TRY(Output* const output, output_for(slice));
    output->last_time = times[count - 1];
    DO(output->writer->add(times.first(count), cells.first(count)));
    times = times.subspan(count);
    cells = cells.subspan(count);
  }
  return {};
}

Result<> SlicedWriter::end_series(std::span<const Arrival> arrivals) {
  for (Output& output : outputs_) {
    if (!output.in_series) continue;
    const auto known = std::ranges::find(arrivals, output.last_time, &Arrival::time);
    DO(output.writer->end_series(known == arrivals.end() ? output.last_time : known->received));
    output.in_series = false;
  }
  return {};
}

Result<> SlicedWriter::end_stem() {
  for (Output& output : outputs_) {
    if (!output.in_stem) continue;
    DO(output.writer->end_stem());
    output.in_stem = false;
  }
  return {};
}

Result<std::vector<PartMeta>> SlicedWriter::finish(const PartMeta& meta) {
  std::vector<PartMeta> parts;
  for (std::size_t slice = 0; slice < outputs_.size(); ++slice) {
    if (outputs_[slice].writer == nullptr) continue;
    PartMeta of_part = meta;
    of_part.id = outputs_[slice].part.id;
    of_part.level = plan_.slices()[slice].level;
    TRY(of_part, outputs_[slice].writer->finish(of_part));
    parts.push_back(of_part);
  }
  finished_ = true;
  return parts;
}

}  // namespace flux::store::engine
