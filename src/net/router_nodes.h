#pragma once

#include <array>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "net/router.h"

namespace flux::net {

/// What applies to all routes of a group.
struct Router::Group::Chain {
  std::vector<Middleware> middlewares;
  std::vector<ResponseHook> hooks;
};

struct Router::Route {
  RouteInfo info;
  bool yields = false;
  std::vector<std::string> param_names;
  std::shared_ptr<const Group::Chain> chain;
  CoroutineHandler coroutine;  // one of these three
  CallbackHandler callback;
  WebSocketFactory websocket;

  [[nodiscard]] const std::vector<Middleware>& middlewares() const { return chain->middlewares; }
  [[nodiscard]] const std::vector<ResponseHook>& hooks() const { return chain->hooks; }
};

/// One path segment of the tree of patterns.
struct Router::Node {
  std::map<std::string, std::unique_ptr<Node>, std::less<>> literals;
  std::unique_ptr<Node> parameter;
  std::unique_ptr<Node> rest;
  std::array<Route*, kMethodCount> routes{};
};

}  // namespace flux::net
