#pragma once

#include "net/router.h"

namespace flux::gateway {

/// Serves the web app that is built into the program: its files, and for every other path that is no API its page, so
/// that links into the app work. Mounted last: it asks `router` which methods an API path has after all.
void mount_web_app(net::Router& router, net::Router::Group open);

}  // namespace flux::gateway
