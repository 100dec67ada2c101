#include "net/router.h"

#include <algorithm>

#include "net/router_nodes.h"

namespace flux::net {
namespace {

struct Segment {
  enum class Kind : std::uint8_t { literal, parameter, rest } kind;
  std::string text;  // the literal, or the parameter's name
};

/// `/a/{b}/{c...}` as segments. A pattern that is malformed is a bug of ours.
std::vector<Segment> parse_pattern(std::string_view pattern) {
  CHECK_MSG(pattern.starts_with('/'), pattern);
  std::vector<Segment> segments;
  pattern.remove_prefix(1);
  for (;;) {
    const auto slash = pattern.find('/');
    const auto text = pattern.substr(0, slash);
    if (text.starts_with('{')) {
      CHECK_MSG(text.ends_with('}') && text.size() > 2, pattern);
      auto name = text.substr(1, text.size() - 2);
      const bool rest = name.ends_with("...");
      if (rest) name.remove_suffix(3);
      CHECK_MSG(!name.empty() && (!rest || slash == std::string_view::npos), pattern);
      segments.push_back({rest ? Segment::Kind::rest : Segment::Kind::parameter, std::string(name)});
    } else {
      CHECK_MSG(text.find_first_of("{}%?#") == std::string_view::npos, pattern);
      segments.push_back({Segment::Kind::literal, std::string(text)});
    }
    if (slash == std::string_view::npos) return segments;
    pattern.remove_prefix(slash + 1);
  }
}

}  // namespace

Router::Router() : root_(std::make_unique<Node>()) {}
Router::~Router() = default;

Router::Group Router::group(std::string_view prefix) {
  return {*this, std::string(prefix), std::make_shared<const Group::Chain>()};
}

std::vector<const RouteInfo*> Router::routes() const {
  std::vector<const RouteInfo*> all;
  for (const auto& route : routes_) all.push_back(&route->info);
  return all;
}

const RouteInfo& Router::info(const Route& route) { return route.info; }

Router::Route& Router::insert(Method method, std::string pattern, RouteOptions options) {
  auto route = std::make_unique<Route>();
  Node* node = root_.get();
  for (auto& segment : parse_pattern(pattern)) {
    std::unique_ptr<Node>* next = nullptr;
    switch (segment.kind) {
      case Segment::Kind::literal: next = &node->literals[segment.text]; break;
      case Segment::Kind::parameter: next = &node->parameter; break;
      case Segment::Kind::rest: next = &node->rest; break;
    }
    if (segment.kind != Segment::Kind::literal) route->param_names.push_back(std::move(segment.text));
    if (!*next) *next = std::make_unique<Node>();
    node = next->get();
  }
  Route*& slot = node->routes[static_cast<std::size_t>(method)];
  CHECK_MSG(slot == nullptr, "two routes for " + std::string(to_string(method)) + " " + pattern);
  slot = route.get();
  route->yields = options.yields;
  std::string name = options.name.empty() ? pattern : std::move(options.name);
  route->info = {.method = method,
                 .pattern = std::move(pattern),
                 .name = std::move(name),
                 .access = std::move(options.access),
                 .body_limit = options.body_limit,
                 .overlap = options.overlap || method == Method::get};
  return *routes_.emplace_back(std::move(route));
}

namespace {

/// Depth-first walk: literal before parameter before rest, taking the first node that has the method. Routes that
/// yield are another walk's, after one without them has found nothing for the path.
struct Walk {
  Method method;
  Router::Match& match;
  bool yielding = false;
  unsigned allowed = 0;

  template <class Route>
  const Route* usable(const Route* route) const {
    return route != nullptr && route->yields == yielding ? route : nullptr;
  }

  template <class Node>
  bool take(const Node& node) {
    const auto* route = usable(node.routes[static_cast<std::size_t>(method)]);
    if (route == nullptr && method == Method::head) route = usable(node.routes[static_cast<std::size_t>(Method::get)]);
    if (route != nullptr) {
      match.route = route;
      return true;
    }
    for (std::size_t i = 0; i < kMethodCount; ++i) {
      if (usable(node.routes[i]) != nullptr) allowed |= 1U << i;
    }
    return false;
  }

  /// `path` is what follows the slash of this level.
  template <class Node>
  bool descend(const Node& node, std::string_view path) {
    const auto slash = path.find('/');
    const auto segment = path.substr(0, slash);
    const bool last = slash == std::string_view::npos;
    const auto further = last ? std::string_view() : path.substr(slash + 1);
    if (!node.literals.empty()) {
      auto found = node.literals.find(segment);
      if (found == node.literals.end() && segment.find('%') != std::string_view::npos) {
        if (const auto decoded = percent_decode(segment)) found = node.literals.find(*decoded);
      }
      if (found != node.literals.end() && (last ? take(*found->second) : descend(*found->second, further))) return true;
    }
    if (node.parameter && !segment.empty()) {
      match.params.emplace_back(std::string_view(), segment);
      if (last ? take(*node.parameter) : descend(*node.parameter, further)) return true;
      match.params.pop_back();
    }
    if (node.rest) {
      match.params.emplace_back(std::string_view(), path);
      if (take(*node.rest)) return true;
      match.params.pop_back();
    }
    return false;
  }
};

}  // namespace

void Router::match(Method method, std::string_view path, Match& into) const {
  into.route = nullptr;
  into.allowed.clear();
  into.params.clear();
  if (!path.starts_with('/')) return;
  Walk walk{.method = method, .match = into};
  bool found = walk.descend(*root_, path.substr(1));
  if (!found && walk.allowed == 0) {
    walk.yielding = true;
    found = walk.descend(*root_, path.substr(1));
  }
  if (found) {
    for (std::size_t i = 0; i < into.params.size(); ++i) into.params[i].first = into.route->param_names[i];
    return;
  }
  if (walk.allowed == 0) return;
  const auto has = [&](Method m) { return (walk.allowed >> static_cast<unsigned>(m) & 1U) != 0; };
  for (std::size_t i = 0; i < kMethodCount; ++i) {
    const auto candidate = static_cast<Method>(i);
    if (has(candidate) || candidate == Method::options || (candidate == Method::head && has(Method::get))) {
      into.allowed.push_back(candidate);
    }
  }
}

// ---------------------------------------------------------------------------------------------------------------------

Router::Group::Group(Router& router, std::string prefix, std::shared_ptr<const Chain> chain)
    : router_(&router), prefix_(std::move(prefix)), chain_(std::move(chain)) {}

Router::Group& Router::Group::use(Middleware middleware) & {
  auto chain = std::make_shared<Chain>(*chain_);  // routes added before keep theirs
  chain->middlewares.push_back(std::move(middleware));
  chain_ = std::move(chain);
  return *this;
}

Router::Group& Router::Group::after(ResponseHook hook) & {
  auto chain = std::make_shared<Chain>(*chain_);
  chain->hooks.push_back(std::move(hook));
  chain_ = std::move(chain);
  return *this;
}

Router::Group&& Router::Group::use(Middleware middleware) && { return std::move(use(std::move(middleware))); }
Router::Group&& Router::Group::after(ResponseHook hook) && { return std::move(after(std::move(hook))); }

Router::Group Router::Group::group(std::string_view prefix) const {
  return {*router_, prefix_ + std::string(prefix), chain_};
}

void Router::Group::add(Method method, std::string_view pattern, RouteOptions options, CoroutineHandler handler) {
  auto& route = router_->insert(method, prefix_ + std::string(pattern), std::move(options));
  route.chain = chain_;
  route.coroutine = std::move(handler);
}

void Router::Group::add(Method method, std::string_view pattern, RouteOptions options, CallbackHandler handler) {
  auto& route = router_->insert(method, prefix_ + std::string(pattern), std::move(options));
  route.chain = chain_;
  route.callback = std::move(handler);
}

void Router::Group::websocket(std::string_view pattern, RouteOptions options, WebSocketFactory factory) {
  auto& route = router_->insert(Method::get, prefix_ + std::string(pattern), std::move(options));
  route.chain = chain_;
  route.websocket = std::move(factory);
  route.info.overlap = false;  // the connection changes its protocol: nothing else may be under way
}

}  // namespace flux::net
