#include <cstddef>
#include <cstdint>

#include "core/result.h"
#include "query/influxql/parser.h"
#include "query/influxql/plan.h"

/// Whatever arrives, reading it and checking it ends, and what was read can be written and read again.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace flux::query::influxql;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const Parameters parameters{{"a", 1.5}, {"b", std::string("x'\\\n")}, {"c", true}, {"d", std::int64_t{-3}}};
  const auto statements = Parser(text, parameters).statements();
  if (!statements) {
    CHECK(!statements.error().message.empty());
    return 0;
  }
  for (const Statement& statement : *statements) {
    if (!statement.select) continue;
    for (const Field& field : statement.select->fields) {
      bool plain = true;  // DISTINCT and patterns are written as InfluxDB does, which does not always read again
      walk(field.expr, [&](const ExprPtr& part) {
        plain = plain && !part->is(Expr::Kind::distinct) && !part->is(Expr::Kind::regex) &&
                part->text.find('.') == std::string::npos;
        return plain;
      });
      if (!plain) continue;
      const std::string written = to_string(*field.expr);
      const auto again = Parser(written).expression();
      CHECK_MSG(again.has_value(), written);
      const std::string twice = to_string(**again);
      CHECK_MSG(twice == written || written.find('-') != std::string::npos, written + " | " + twice);
    }
    const auto plan = compile(*statement.select, 1'767'225'600'000'000'000);
    if (!plan) continue;
    const Schema schema{{{"usage", DataType::float64}, {"count", DataType::int64}, {"state", DataType::string}},
                        {"host", "region"}};
    if (resolve(**plan, [&](const Source&) { return &schema; })) static_cast<void>((*plan)->columns());
  }
  return 0;
}
