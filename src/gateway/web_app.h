#pragma once

#include "net/router.h"

namespace flux::gateway {

/// Serves the web app that is built into the program: its files, and for every other path that is no API its page, so
/// that links into the app work. It yields: an API path keeps its own methods, and one that nobody knows is not found.
void mount_web_app(net::Router::Group open);

}  // namespace flux::gateway
