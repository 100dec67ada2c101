#include "app/client/terminal.h"

#include <csignal>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "observe/printable.h"

namespace flux::app {
namespace {

volatile std::sig_atomic_t interrupt_came = 0;

}  // namespace

std::string plain(const nlohmann::json& value) { return value.is_string() ? value.get<std::string>() : value.dump(); }

std::string seen(const std::string& text) { return observe::printable(text); }
std::string seen(const nlohmann::json& value) { return value.is_null() ? "-" : seen(plain(value)); }

void print_json(std::string_view json) { std::printf("%s\n", observe::printable_json(json).c_str()); }

void remark(const std::string& sentence) { std::fprintf(stderr, "%s\n", seen(sentence).c_str()); }

int complain_about(const Error& error) {
  remark("fluxgate: " + (error.field.empty() ? "" : error.field + ": ") + error.message);
  return error.code == ErrorCode::invalid_argument ? 2 : 1;
}

void watch_interrupts() {
  for (const int signal : {SIGINT, SIGTERM}) std::signal(signal, [](int) { interrupt_came = 1; });
}

bool interrupted() { return interrupt_came != 0; }

}  // namespace flux::app
