#include "gateway/text_stream.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <utility>

#include "runtime/completion.h"
#include "runtime/shard.h"

namespace flux::gateway {
namespace {

/// Pieces of text from a worker to a coroutine, with an end that says how it went.
class Channel {
 public:
  Channel(std::size_t capacity, runtime::Workers& workers) : capacity_(capacity), workers_(workers) {}

  /// Worker: waits while the reader is behind. False when nobody reads any more, or too many readers are behind.
  bool push(std::string piece) {
    std::unique_lock lock(mutex_);
    const auto has_room = [&] { return abandoned_ || held_ == 0 || held_ + piece.size() <= capacity_; };
    if (!has_room()) {
      const auto waiting = workers_.begin_waiting();
      if (!waiting) {
        crowded_out_ = true;
        return false;
      }
      const auto since = std::chrono::steady_clock::now();
      waiting_since_ = since;
      room_.wait(lock, has_room);
      waiting_since_.reset();
      waited_ += std::chrono::steady_clock::now() - since;
    }
    if (abandoned_) return false;
    held_ += piece.size();
    pieces_.push_back(std::move(piece));
    wake();
    return true;
  }
  void finish(Result<> how) {
    const std::lock_guard lock(mutex_);
    end_ = std::move(how);
    wake();
  }

  /// Reader: the next piece, or nothing at the end.
  Async<std::optional<std::string>> next() {
    for (;;) {
      runtime::Completion<void> more;
      {
        const std::lock_guard lock(mutex_);
        if (!pieces_.empty()) {
          std::string piece = std::move(pieces_.front());
          pieces_.pop_front();
          held_ -= piece.size();
          room_.notify_one();
          co_return std::move(piece);
        }
        if (end_) {
          if (!*end_) co_return std::unexpected(end_->error());
          co_return std::optional<std::string>();
        }
        waiting_ = more;
      }
      CO_DO(co_await more);
    }
  }
  /// Whether the end has been reached: no piece follows, and all went well.
  [[nodiscard]] bool at_end() const {
    const std::lock_guard lock(mutex_);
    return pieces_.empty() && end_ && end_->has_value();
  }

  void abandon() {
    stop_.request_stop();
    const std::lock_guard lock(mutex_);
    abandoned_ = true;
    room_.notify_one();
  }
  void time_out() {
    {
      const std::lock_guard lock(mutex_);
      timed_out_ = true;
    }
    abandon();
  }
  /// How long the worker has waited for the reader so far.
  [[nodiscard]] Duration waited() const {
    const std::lock_guard lock(mutex_);
    auto sum = waited_;
    if (waiting_since_) sum += std::chrono::steady_clock::now() - *waiting_since_;
    return Duration{std::chrono::nanoseconds(sum).count()};
  }
  /// The query was given up because too many answers wait for readers that are behind.
  [[nodiscard]] bool crowded_out() const {
    const std::lock_guard lock(mutex_);
    return crowded_out_;
  }
  [[nodiscard]] bool timed_out() const {
    const std::lock_guard lock(mutex_);
    return timed_out_;
  }
  [[nodiscard]] std::stop_token stop_token() const { return stop_.get_token(); }

 private:
  void wake() {
    if (!waiting_) return;
    waiting_->resolve({});
    waiting_.reset();
  }

  const std::size_t capacity_;
  runtime::Workers& workers_;
  std::stop_source stop_;
  mutable std::mutex mutex_;
  std::condition_variable room_;
  std::deque<std::string> pieces_;
  std::size_t held_ = 0;
  std::optional<Result<>> end_;
  std::optional<runtime::Completion<void>> waiting_;
  bool abandoned_ = false;
  bool timed_out_ = false;
  bool crowded_out_ = false;
  std::optional<std::chrono::steady_clock::time_point> waiting_since_;
  std::chrono::steady_clock::duration waited_{};
};

/// Ends the query when the coroutine that reads it ends, however that comes.
class Reading {
 public:
  explicit Reading(std::shared_ptr<Channel> channel) : channel_(std::move(channel)) {}
  Reading(Reading&&) = default;
  Reading& operator=(Reading&&) = delete;
  ~Reading() {
    if (channel_) channel_->abandon();
  }
  Channel& operator*() const { return *channel_; }
  Channel* operator->() const { return channel_.get(); }

 private:
  std::shared_ptr<Channel> channel_;
};

Async<void> pump(std::shared_ptr<Reading> reading, std::shared_ptr<runtime::Timer> /*keeps ticking*/, std::string first,
                 net::BodyWriter& out) {
  CO_DO(co_await out.write(std::move(first)));
  for (;;) {
    CO_TRY(auto piece, co_await (*reading)->next());
    if (!piece) co_return {};
    CO_DO(co_await out.write(*std::move(piece)));
  }
}

}  // namespace

Async<net::HttpResponse> stream_text(runtime::Workers& workers, TextProducer produce, TextStreamOptions options,
                                     runtime::CancelToken cancelled) {
  auto channel = std::make_shared<Channel>(options.buffered_bytes, workers);
  auto reading = std::make_shared<Reading>(channel);
  const auto gone = cancelled.on_cancel([channel] { channel->abandon(); });
  // The limit is on the producer's own time to its last piece; a slow reader has the connection's write time-out.
  const Duration began = runtime::Shard::current()->now();
  const Duration look{std::max<std::int64_t>(options.time_limit.ns / 32, 1'000'000)};
  const Duration limit_on_time = options.time_limit;
  auto limit =
      std::make_shared<runtime::Timer>(runtime::Shard::current()->call_every(look, [channel, began, limit_on_time] {
        if (runtime::Shard::current()->now() - began - channel->waited() >= limit_on_time) channel->time_out();
      }));
  auto task = [produce = std::move(produce), limit_on_time, channel]() mutable {
    auto done = produce([&](std::string piece) { return channel->push(std::move(piece)); }, channel->stop_token());
    if (channel->crowded_out())
      return channel->finish(fail(ErrorCode::exhausted, "too many answers wait for readers that are behind"));
    if (!done && channel->timed_out())
      return channel->finish(fail(ErrorCode::timed_out, "the query took longer than " + to_string(limit_on_time) +
                                                            ": take a shorter range, fewer series or wider windows"));
    channel->finish(std::move(done));
  };
  if (!workers.try_submit(std::move(task)))
    co_return fail(ErrorCode::exhausted, "too many queries are waiting: try again later");
  CO_TRY(auto first, co_await channel->next());
  if (!first) co_return fail(ErrorCode::internal, "a query ended without an answer");
  if (channel->at_end()) {
    net::HttpResponse whole;
    whole.header("Content-Type", options.content_type);
    whole.body = *std::move(first);
    co_return whole;
  }
  auto producer = [reading, limit, first = *std::move(first)](net::BodyWriter& out) mutable {
    return pump(reading, limit, std::move(first), out);
  };
  auto response = net::HttpResponse::stream(200, options.content_type, std::move(producer));
  response.compress_stream = true;
  co_return response;
}

}  // namespace flux::gateway
