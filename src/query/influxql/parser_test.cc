#include "query/influxql/parser.h"

#include <gtest/gtest.h>

namespace flux::query::influxql {
namespace {

std::string error_of(std::string_view text) {
  const auto parsed = Parser(text).statements();
  return parsed ? "(none)" : parsed.error().message;
}

std::string expression(std::string_view text) {
  const auto parsed = Parser(text).expression();
  return parsed ? to_string(**parsed) : parsed.error().message;
}

/// With brackets around everything that is joined.
std::string grouped(const Expr& expr) {
  if (expr.is(Expr::Kind::paren)) return grouped(*expr.args[0]);
  if (!expr.is(Expr::Kind::binary)) return to_string(expr);
  return "(" + grouped(*expr.args[0]) + std::string(spelling(expr.op)) + grouped(*expr.args[1]) + ")";
}

TEST(InfluxqlParser, SaysWhatItFoundAndWhere) {
  EXPECT_EQ(
      error_of("FOO"),
      "found FOO, expected SELECT, DELETE, SHOW, CREATE, DROP, EXPLAIN, GRANT, REVOKE, ALTER, SET, KILL at line 1, "
      "char 1");
  EXPECT_EQ(error_of("SELECT a FROM"), "found EOF, expected identifier at line 1, char 15");
  EXPECT_EQ(error_of("SELECT a\nFROM b\n  WHERE ="),
            "found =, expected identifier, string, number, bool at line 3, char 9");
  EXPECT_EQ(error_of("SELECT ä FROM b"), "found ä, expected identifier, string, number, bool at line 1, char 8");
  EXPECT_EQ(error_of("SELECT 'ä' + = FROM b"), "found =, expected identifier, string, number, bool at line 1, char 14");
}

TEST(InfluxqlParser, JoinsWhatBindsTighterFirst) {
  for (const auto& [text, wanted] : std::initializer_list<std::pair<const char*, const char*>>{
           {"a + b * c", "(a+(b*c))"},
           {"a * b + c", "((a*b)+c)"},
           {"a - b - c", "((a-b)-c)"},
           {"(a - (b - c))", "(a-(b-c))"},
           {"a = 1 AND b = 2 OR c = 3 AND d = 4", "(((a=1)AND(b=2))OR((c=3)AND(d=4)))"},
           {"a | b & c ^ d", "((a|(b&c))^d)"},
           {"a > b + 1", "(a>(b+1))"}})
    EXPECT_EQ(grouped(**Parser(text).expression()), wanted) << text;
}

TEST(InfluxqlParser, ReadsLiterals) {
  EXPECT_EQ(expression("-9223372036854775808"), "-9223372036854775808");
  EXPECT_EQ(expression("9223372036854775808"), "9223372036854775808");
  EXPECT_EQ(expression("-9223372036854775809"), "constant -9223372036854775809 underflows int64");
  EXPECT_EQ(expression("1h30m"), "90m");
  EXPECT_EQ(expression("90s"), "90s");
  EXPECT_EQ(expression("5µ"), "5u");
  EXPECT_EQ(expression("2w"), "2w");
  EXPECT_EQ(expression("5q"), "invalid duration");
  EXPECT_EQ(expression("'it\\'s \\n \\\"x\\\"'"), "'it\\'s \\n \"x\"'");
  EXPECT_EQ(expression("\"a b\".c"), "\"a b.c\"");
  EXPECT_EQ(expression("a =~ /x\\/y/"), "a =~ /x\\/y/");
  EXPECT_EQ(expression("MEAN(a)"), "mean(a)");
}

TEST(InfluxqlParser, NamesTheFieldAsTheAliasOrTheFunctionOrTheVariables) {
  const auto name = [](std::string_view text) {
    const auto statements = Parser("SELECT " + std::string(text) + " FROM m").statements();
    return statements->front().select->fields[0].name();
  };
  EXPECT_EQ(name("a"), "a");
  EXPECT_EQ(name("a AS b"), "b");
  EXPECT_EQ(name("max(a)"), "max");
  EXPECT_EQ(name("a + b * max(c)"), "a_b_max");
  EXPECT_EQ(name("(a)"), "a");
}

TEST(InfluxqlParser, NestingHasAnEnd) {
  EXPECT_EQ(error_of("SELECT " + std::string(100'000, '(') + "a"), "expression is nested too deeply");
  EXPECT_EQ(error_of("SELECT " + std::string(100'000, '-') + "a"),
            "found EOF, expected identifier, string, number, bool at line 1, char 100010");
  std::string signs;
  for (int i = 0; i < 5'000; ++i) signs += "- ";
  EXPECT_NE(error_of("SELECT " + signs + "a FROM m"), "(none)");
  std::string inner = "SELECT a FROM m";
  for (int i = 0; i < 300; ++i) inner = "SELECT a FROM (" + inner + ")";
  EXPECT_NE(error_of(inner).find("nested too deeply"), std::string::npos);
}

TEST(InfluxqlParser, BindsParameters) {
  const auto bound = [](Parameter value) {
    const auto parsed = Parser("$x", {{"x", std::move(value)}}).expression();
    return parsed ? to_string(**parsed) : parsed.error().message;
  };
  EXPECT_EQ(bound(1.5), "1.500");
  EXPECT_EQ(bound(std::int64_t{7}), "7");
  EXPECT_EQ(bound(std::string("a'b")), "'a\\'b'");
  EXPECT_EQ(bound(true), "true");
  EXPECT_EQ(expression("$y"), "missing parameter: y");
}

}  // namespace
}  // namespace flux::query::influxql
