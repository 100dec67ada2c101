#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "net/http.h"
#include "net/stats.h"

namespace flux::net {

/// Why a request cannot be understood, and what to answer.
struct ParseFault {
  int status;
  HttpFault kind;
  std::string message;
};

/// What a request's head says about its framing.
struct RequestHead {
  std::string_view method;
  std::string_view target;
  bool http_1_0 = false;
  bool keep_alive = true;
  bool chunked = false;
  bool expects_continue = false;
  std::uint64_t content_length = 0;
};

/// Looks for the end of a head in what was read so far, and refuses what only smugglers send: line feeds without
/// carriage return, folded lines. `scanned` remembers how far it has looked.
struct HeadScan {
  std::size_t size = 0;  ///< of the whole head with its blank line; 0: not there yet
  std::optional<ParseFault> fault;
};
HeadScan scan_head(std::string_view data, std::size_t& scanned);

/// One request's syntax: Boost.Beast's parser, fed by hand, behind our own rules for what is ambiguous.
class RequestParser {
 public:
  RequestParser();
  ~RequestParser();
  RequestParser(const RequestParser&) = delete;
  RequestParser& operator=(const RequestParser&) = delete;

  /// `text` is one whole head; the views in `head` and `fields` point into it.
  std::optional<ParseFault> parse_head(std::string_view text, RequestHead& head,
                                       std::vector<HttpRequest::Field>& fields);

  struct Fed {
    std::size_t used = 0;
    bool done = false;
    std::optional<ParseFault> fault;
  };
  /// The chunked body of the head parsed last. Decoded bytes go to `append(context, data)`, which refuses (false) what
  /// is too much. What was not used must be shown again with more behind it.
  Fed feed_chunked(std::string_view data, bool (*append)(void* context, std::string_view data), void* context);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace flux::net
