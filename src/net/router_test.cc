#include "net/router.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace flux::net {
namespace {

void nothing(HttpRequest&, Responder) {}

std::string pattern_of(const Router::Match& match) {
  return match.route == nullptr ? "-" : Router::info(*match.route).pattern;
}

class RouterTest : public testing::Test {
 protected:
  void add(Method method, std::string_view pattern) {
    router_.group().add(method, pattern, {}, CallbackHandler(nothing));
  }
  std::string find(Method method, std::string_view path) {
    router_.match(method, path, match_);
    return pattern_of(match_);
  }
  Router router_;
  Router::Match match_;
};

TEST_F(RouterTest, LiteralsWinOverParametersAndParametersOverTheRest) {
  for (const auto* pattern : {"/", "/api/devices", "/api/devices/{device}", "/api/devices/{device}/latest",
                              "/api/devices/search", "/api/{rest...}", "/{path...}"}) {
    add(Method::get, pattern);
  }
  EXPECT_EQ(find(Method::get, "/"), "/");
  EXPECT_EQ(find(Method::get, "/api/devices"), "/api/devices");
  EXPECT_EQ(find(Method::get, "/api/devices/pump-1"), "/api/devices/{device}");
  EXPECT_EQ(match_.params.at(0), std::pair(std::string_view("device"), std::string_view("pump-1")));
  EXPECT_EQ(find(Method::get, "/api/devices/search"), "/api/devices/search");
  EXPECT_EQ(find(Method::get, "/api/devices/search/latest"), "/api/devices/{device}/latest");  // goes back for it
  EXPECT_EQ(find(Method::get, "/api/devices/a%2Fb/latest"), "/api/devices/{device}/latest");
  EXPECT_EQ(match_.params.at(0).second, "a%2Fb");
  EXPECT_EQ(find(Method::get, "/api/devic%65s"), "/api/devices");
  EXPECT_EQ(find(Method::get, "/api/devices/"), "/api/{rest...}");
  EXPECT_EQ(match_.params.at(0).second, "devices/");
  EXPECT_EQ(find(Method::get, "/assets/a.js"), "/{path...}");
  EXPECT_EQ(match_.params.at(0).second, "assets/a.js");
  EXPECT_EQ(find(Method::get, ""), "-");
  EXPECT_EQ(find(Method::get, "*"), "-");
}

TEST_F(RouterTest, OtherMethodsAreListed) {
  add(Method::get, "/a/{x}");
  add(Method::put, "/a/{y}");
  add(Method::post, "/a/b");
  EXPECT_EQ(find(Method::head, "/a/b"), "/a/{x}");
  EXPECT_EQ(find(Method::put, "/a/b"), "/a/{y}");
  EXPECT_EQ(match_.params.at(0).first, "y");
  EXPECT_EQ(find(Method::del, "/a/b"), "-");
  EXPECT_EQ(match_.allowed, (std::vector{Method::get, Method::head, Method::post, Method::put, Method::options}));
  EXPECT_EQ(find(Method::del, "/b"), "-");
  EXPECT_TRUE(match_.allowed.empty());
}

TEST_F(RouterTest, ARouteThatYieldsIsForPathsThatNobodyElseKnows) {
  router_.group().add(Method::get, "/{path...}", {.yields = true}, CallbackHandler(nothing));
  add(Method::post, "/api/telemetry");
  add(Method::get, "/api/devices/{device}");
  add(Method::del, "/api/devices/{device}");
  EXPECT_EQ(find(Method::get, "/"), "/{path...}");
  EXPECT_EQ(find(Method::head, "/devices/pump-1"), "/{path...}");
  EXPECT_EQ(match_.params.at(0).second, "devices/pump-1");
  EXPECT_EQ(find(Method::get, "/api/telemetry/more"), "/{path...}");
  EXPECT_EQ(find(Method::post, "/api/telemetry"), "/api/telemetry");
  for (const Method method : {Method::get, Method::head, Method::del, Method::options}) {
    EXPECT_EQ(find(method, "/api/telemetry"), "-");
    EXPECT_EQ(match_.allowed, (std::vector{Method::post, Method::options}));
  }
  EXPECT_EQ(find(Method::put, "/api/devices/pump-1"), "-");
  EXPECT_EQ(match_.allowed, (std::vector{Method::get, Method::head, Method::del, Method::options}));
  EXPECT_EQ(find(Method::post, "/devices/pump-1"), "-");
  EXPECT_EQ(match_.allowed, (std::vector{Method::get, Method::head, Method::options}));
}

TEST_F(RouterTest, GroupsAddTheirPrefixAndRoutesKeepTheirMetadata) {
  auto api = router_.group("/api");
  api.group("/v1").post("/telemetry", {.name = "telemetry", .access = "publish", .body_limit = 7, .overlap = true},
                        nothing);
  api.get("/health", {}, [](HttpRequest&) -> Async<HttpResponse> { co_return HttpResponse::empty(204); });
  const auto routes = router_.routes();
  ASSERT_EQ(routes.size(), 2U);
  EXPECT_EQ(routes[0]->pattern, "/api/v1/telemetry");
  EXPECT_EQ(routes[0]->name, "telemetry");
  EXPECT_EQ(routes[0]->access, "publish");
  EXPECT_EQ(routes[0]->body_limit, 7U);
  EXPECT_TRUE(routes[0]->overlap);
  EXPECT_EQ(routes[1]->name, "/api/health");
}

TEST_F(RouterTest, MistakesInPatternsStopTheProcess) {
  add(Method::get, "/a/{x}");
  EXPECT_DEATH(add(Method::get, "/a/{y}"), "two routes");
  EXPECT_DEATH(add(Method::get, "no-slash"), "no-slash");
  EXPECT_DEATH(add(Method::get, "/{rest...}/more"), "rest");
  EXPECT_DEATH(add(Method::get, "/{}"), "/");
  EXPECT_DEATH(add(Method::get, "/half{x}"), "half");
}

/// The rule, without a tree: of all patterns that match, the one whose first difference is more literal.
struct Model {
  static std::vector<std::string> split(std::string_view path) {
    std::vector<std::string> parts;
    path.remove_prefix(1);
    for (;;) {
      const auto slash = path.find('/');
      parts.emplace_back(path.substr(0, slash));
      if (slash == std::string_view::npos) return parts;
      path.remove_prefix(slash + 1);
    }
  }
  /// The kinds of the matched segments (0 literal, 1 parameter, 2 rest), or nothing.
  static std::optional<std::string> match(const std::string& pattern, const std::string& path) {
    const auto want = split(pattern);
    const auto have = split(path);
    std::string kinds;
    for (std::size_t i = 0; i < want.size(); ++i) {
      if (want[i] == "{r...}") return i < have.size() ? std::optional(kinds + '2') : std::nullopt;
      if (i >= have.size()) return std::nullopt;
      if (want[i] == "{p}") {
        if (have[i].empty()) return std::nullopt;
        kinds += '1';
      } else if (want[i] == have[i]) {
        kinds += '0';
      } else {
        return std::nullopt;
      }
    }
    return want.size() == have.size() ? std::optional(kinds) : std::nullopt;
  }
};

RC_GTEST_PROP(RouterProperty, AgreesWithTheRuleForAnySetOfPatterns, ()) {
  const auto segment = rc::gen::element<std::string>("a", "b", "", "{p}");
  const auto literal = rc::gen::element<std::string>("a", "b", "c", "");
  const auto join = [](const std::vector<std::string>& parts) {
    std::string path;
    for (const auto& part : parts) path += "/" + part;
    return path;
  };
  std::set<std::string> patterns;
  for (auto parts : *rc::gen::container<std::vector<std::vector<std::string>>>(
           rc::gen::container<std::vector<std::string>>(segment))) {
    if (parts.empty() || parts.size() > 4) continue;
    if (*rc::gen::inRange(0, 4) == 0) parts.back() = "{r...}";
    patterns.insert(join(parts));
  }
  Router router;
  for (const auto& pattern : patterns) router.group().add(Method::get, pattern, {}, CallbackHandler(nothing));
  for (int i = 0; i < 20; ++i) {
    auto parts = *rc::gen::container<std::vector<std::string>>(literal);
    if (parts.empty() || parts.size() > 5) continue;
    const auto path = join(parts);
    std::map<std::string, std::string> matching;  // by kinds: the smallest is the winner
    for (const auto& pattern : patterns) {
      if (const auto kinds = Model::match(pattern, path)) matching.emplace(*kinds, pattern);
    }
    Router::Match match;
    router.match(Method::get, path, match);
    RC_ASSERT(pattern_of(match) == (matching.empty() ? "-" : matching.begin()->second));
  }
}

}  // namespace
}  // namespace flux::net
