#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "net/http.h"
#include "runtime/async.h"

namespace flux::net {

class WebSocket;
class WebSocketHandler;

/// The way to answer a request from a callback, now or later, on the request's shard. The request stays valid until it
/// is answered. Dropped without an answer, it answers 500: no request hangs.
class Responder {
 public:
  class Target;  // the exchange on the connection
  explicit Responder(Target* target) : target_(target) {}
  Responder(Responder&& other) noexcept : target_(std::exchange(other.target_, nullptr)) {}
  Responder& operator=(Responder&& other) noexcept {
    std::swap(target_, other.target_);
    return *this;
  }
  ~Responder();

  void send(HttpResponse response);
  /// The quick way for small JSON answers: no HttpResponse, no allocation.
  void send_json(int status, std::string_view body);
  void send_error(const Error& error);
  /// Nobody is there any more to read the answer.
  [[nodiscard]] bool gone() const;
  [[nodiscard]] HttpRequest& request() const;
  [[nodiscard]] bool answered() const { return target_ == nullptr; }

 private:
  Target* target_;
};

/// What a middleware says of a request whose head is read and whose body may not be.
class Verdict {
 public:
  static Verdict proceed() { return Verdict(std::monostate{}); }
  static Verdict answer(HttpResponse response) { return Verdict(std::move(response)); }
  /// Not known yet: nothing from the coroutine means proceed.
  static Verdict wait(Async<std::optional<HttpResponse>> later) { return Verdict(std::move(later)); }

  std::variant<std::monostate, HttpResponse, Async<std::optional<HttpResponse>>> value;

 private:
  template <class T>
  explicit Verdict(T v) : value(std::move(v)) {}
};

/// Runs before the handler, once the head is read: the body is not there yet (so a caller without a credential cannot
/// make us hold one). From all shards at the same time.
using Middleware = std::function<Verdict(HttpRequest&)>;
/// Sees every answer of its routes before it leaves (to add headers). Not called for `send_json`.
using ResponseHook = std::function<void(const HttpRequest&, HttpResponse&)>;

/// (a) A coroutine per request. `request` is valid until it returns.
using CoroutineHandler = std::function<Async<HttpResponse>(HttpRequest&)>;
/// (b) A plain call: for hot paths, and for answers made at once.
using CallbackHandler = std::function<void(HttpRequest&, Responder)>;
/// Makes the handler of a WebSocket, or says why not (answered as an HTTP error). See websocket.h.
using WebSocketFactory = std::function<Result<std::shared_ptr<WebSocketHandler>>(HttpRequest&, WebSocket&)>;

struct RouteOptions {
  std::string name;            ///< for metrics; the pattern when empty
  std::string access;          ///< handed to the access hook in RouteInfo
  std::size_t body_limit = 0;  ///< bytes; 0: the server's
  /// The handler takes its effect inside the call and only the answer comes later: requests that a client has pipelined
  /// behind it may be handled before it is answered. Answers keep their order in any case. Without it only GET and HEAD
  /// overlap.
  bool overlap = false;
  /// Only for paths that no other route knows by any method: where one does, this is as if it were not there.
  bool yields = false;
};

/// Patterns to handlers. Filled at start by those who mount routes, then read by all shards.
///
/// A pattern is a path of literal segments, `{name}` (one segment, never empty, may hold an encoded slash) and, last,
/// `{name...}` (the rest of the path, may be empty). Literal segments win over parameters, segment by segment from the
/// left. HEAD is answered by GET's handler; OPTIONS and 405 list exactly what is routed at the path.
///
///   // A route with a coroutine handler
///   Async<HttpResponse> Devices::latest(HttpRequest& request) {
///     const auto device = std::string(request.param("device"));
///     CO_TRY(auto latest, co_await query_.latest(device));   // an error becomes its JSON answer
///     co_return HttpResponse::json(200, to_json(latest));
///   }
///   auto api = router.group("/api/v1").use(authenticate);
///   api.get("/devices/{device}/latest", {.name = "device_latest"},
///           [this](HttpRequest& request) { return latest(request); });
///
///   // A hot route: no coroutine, answered from the log's callback on the same shard
///   api.post("/telemetry", {.name = "telemetry", .overlap = true}, [this](HttpRequest& request, Responder responder) {
///     auto admitted = append_telemetry(request.body(), request.principal_as<Device>());
///     if (!admitted) return responder.send_error(admitted.error());
///     outbox_.when_durable([responder = std::move(responder)]() mutable {
///       responder.send_json(200, R"({"accepted":1})");
///     });
///   });
class Router {
 public:
  class Group {
   public:
    struct Chain;  // of middlewares and hooks

    /// Routes added to this group (and groups made from it) from now on go through `middleware`, in order of addition.
    Group& use(Middleware middleware) &;
    Group&& use(Middleware middleware) &&;
    Group& after(ResponseHook hook) &;
    Group&& after(ResponseHook hook) &&;
    [[nodiscard]] Group group(std::string_view prefix) const;

    /// A pattern that exists already for the method, or a malformed one, stops the process: it is a bug.
    void add(Method method, std::string_view pattern, RouteOptions options, CoroutineHandler handler);
    void add(Method method, std::string_view pattern, RouteOptions options, CallbackHandler handler);
    void websocket(std::string_view pattern, RouteOptions options, WebSocketFactory factory);

    template <class Handler>
    void get(std::string_view pattern, RouteOptions options, Handler handler) {
      add_any(Method::get, pattern, std::move(options), std::move(handler));
    }
    template <class Handler>
    void post(std::string_view pattern, RouteOptions options, Handler handler) {
      add_any(Method::post, pattern, std::move(options), std::move(handler));
    }
    template <class Handler>
    void put(std::string_view pattern, RouteOptions options, Handler handler) {
      add_any(Method::put, pattern, std::move(options), std::move(handler));
    }
    template <class Handler>
    void patch(std::string_view pattern, RouteOptions options, Handler handler) {
      add_any(Method::patch, pattern, std::move(options), std::move(handler));
    }
    template <class Handler>
    void del(std::string_view pattern, RouteOptions options, Handler handler) {
      add_any(Method::del, pattern, std::move(options), std::move(handler));
    }

   private:
    friend class Router;
    Group(Router& router, std::string prefix, std::shared_ptr<const Chain> chain);

    template <class Handler>
    void add_any(Method method, std::string_view pattern, RouteOptions options, Handler handler) {
      if constexpr (std::is_invocable_v<Handler&, HttpRequest&, Responder>) {
        add(method, pattern, std::move(options), CallbackHandler(std::move(handler)));
      } else {
        add(method, pattern, std::move(options), CoroutineHandler(std::move(handler)));
      }
    }

    Router* router_;
    std::string prefix_;
    std::shared_ptr<const Chain> chain_;
  };

  Router();
  ~Router();
  Router(const Router&) = delete;
  Router& operator=(const Router&) = delete;

  [[nodiscard]] Group group(std::string_view prefix = "");

  /// Every route, in order of addition (for the OpenAPI test and the metrics).
  [[nodiscard]] std::vector<const RouteInfo*> routes() const;

  // --- for the server and tests -------------------------------------------------------------------------------------
  struct Route;
  struct Node;
  struct Match {
    const Route* route = nullptr;  ///< null: see `allowed`
    std::vector<Method> allowed;   ///< methods of the path when the method was not among them; empty: no such path
    std::vector<std::pair<std::string_view, std::string_view>> params;  ///< still escaped, views into `path`
  };
  /// `path` as sent. Does not allocate when `into` has been used before.
  void match(Method method, std::string_view path, Match& into) const;
  static const RouteInfo& info(const Route& route);

 private:
  Route& insert(Method method, std::string pattern, RouteOptions options);

  std::unique_ptr<Node> root_;
  std::vector<std::unique_ptr<Route>> routes_;
};

}  // namespace flux::net
