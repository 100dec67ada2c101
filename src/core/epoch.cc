#include "core/epoch.h"

#include <charconv>

namespace flux {
namespace {

void append_units(std::string& out, Time time, std::int64_t unit) {
  char text[24];
  const std::int64_t units = time.ns / unit - (time.ns % unit < 0 ? 1 : 0);
  out.append(text, std::to_chars(text, text + sizeof text, units).ptr);
}

}  // namespace

Result<Epoch> parse_epoch(std::string_view text) {
  if (text == "s") return Epoch::s;
  if (text == "ms") return Epoch::ms;
  if (text == "us") return Epoch::us;
  if (text == "ns") return Epoch::ns;
  if (text == "rfc3339") return Epoch::rfc3339;
  return fail(ErrorCode::invalid_argument, "expected s, ms, us, ns or rfc3339", "epoch");
}

void append_time(std::string& out, Time time, Epoch epoch) {
  switch (epoch) {
    case Epoch::rfc3339: {
      char text[40];
      out += '"';
      out.append(text, format_rfc3339(time, text));
      out += '"';
      return;
    }
    case Epoch::s: return append_units(out, time, 1'000'000'000);
    case Epoch::ms: return append_units(out, time, 1'000'000);
    case Epoch::us: return append_units(out, time, 1'000);
    case Epoch::ns: return append_units(out, time, 1);
  }
}

}  // namespace flux
