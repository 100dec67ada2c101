# Building, formatting and checking; sourced by ./dev after tools/setup.sh.
# shellcheck shell=bash

jobs="${FLUX_JOBS:-$(nproc)}"

# The web app's sources as one hash: by content, so that a checkout or a touch alone builds nothing.
web_inputs() {
  find web -type d \( -name node_modules -o -name dist -o -name mock \) -prune -o -type f -print0 |
    LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum
}

build_web() {
  [ -f web/package.json ] || return 0
  local inputs
  inputs=$(web_inputs)
  [ -f web/dist/index.html ] && [ "$(cat build/web.stamp 2>/dev/null)" = "$inputs" ] && return 0
  say "building the web app"
  local log
  log=$(mktemp)
  if ! (cd web && npm run --silent build) >"$log" 2>&1; then
    cat "$log" >&2
    fail "the web app does not build"
  fi
  rm -f "$log"
  mkdir -p build
  echo "$inputs" >build/web.stamp
}

# configure PRESET: only where there is no build folder yet or the presets changed; ninja sees to the rest.
configure() {
  local presets stamp="build/$1/.presets"
  presets=$(sha256sum <CMakePresets.json)
  [ -f "build/$1/build.ninja" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$presets" ] && return 0
  say "configuring build/$1"
  local log
  log=$(mktemp)
  if ! cmake --preset "$1" >"$log" 2>&1; then
    sed -n '/^CMake Error/,$p' "$log" >&2
    fail "cmake could not configure preset $1; the whole output is in $log"
  fi
  rm -f "$log"
  echo "$presets" >"$stamp"
}

# Ninja's output for people: one line that moves on a terminal, ten in a log, none at all when nothing had to be built.
progress() {
  awk -v what="$1" -v terminal="$([ -t 2 ] && echo 1)" '
    /^ninja: (Entering|no work)/ || /Re-checking globbed|^-- / { next }
    /^\[[0-9]+\/[0-9]+/ {
      if (!said++) printf "fluxgate: building %s\n", what
      split(substr($1, 2), step, "/")
      if (terminal) { printf "\r\033[K%s", substr($0, 1, 110); moving = 1 }
      else if (int(10 * step[1] / step[2]) > tenth) { tenth = int(10 * step[1] / step[2]); print }
      fflush(); next
    }
    { if (moving) printf "\n"; moving = 0; print; fflush() }
    END { if (moving) printf "\r\033[K" }' >&2
}

# build_cpp PRESET TARGET...
build_cpp() {
  local preset="$1"
  shift
  configure "$preset"
  NINJA_STATUS="[%f/%t] " ninja -C "build/$preset" -j "$jobs" "$@" 2>&1 | progress "$* ($preset)" ||
    fail "the build stopped"
}

targets_like() { # PRESET PATTERN
  ninja -C "build/$1" -t targets all | sed -n "s/^\($2\): phony\$/\1/p" | grep -v "^cmake_" | sort -u
}

run_benches() {
  local room target targets
  configure bench
  if [ $# -eq 0 ]; then targets=$(targets_like bench 'flux_[a-z]*_bench')
  else targets=$(for room in "$@"; do echo "flux_${room}_bench"; done)
  fi
  [ -n "$targets" ] || fail "no room has benchmarks"
  # shellcheck disable=SC2086
  build_cpp bench $targets
  for target in $targets; do
    say "$target"
    "$(find build/bench -name "$target" -type f -perm -u+x | head -1)"
  done
}

run_fuzzers() {
  configure fuzz
  local fuzzers fuzzer name seeds found=0
  fuzzers=$(targets_like fuzz '[a-z0-9_]*_fuzz')
  [ -n "$fuzzers" ] || { say "no fuzzers"; return 0; }
  # shellcheck disable=SC2086
  build_cpp fuzz $fuzzers
  for fuzzer in $fuzzers; do
    name=$(find build/fuzz -name "$fuzzer" -type f -perm -u+x | head -1)
    seeds="tests/testdata/fuzz/$fuzzer"
    mkdir -p "build/fuzz/corpus/$fuzzer" "build/fuzz/findings"
    say "fuzzing $fuzzer for $1 s"
    # shellcheck disable=SC2046
    "$name" -max_total_time="$1" -timeout=10 -rss_limit_mb=2048 -print_final_stats=0 -verbosity=0 \
      -artifact_prefix="build/fuzz/findings/$fuzzer-" "build/fuzz/corpus/$fuzzer" $([ -d "$seeds" ] && echo "$seeds") \
      2>"build/fuzz/$fuzzer.log" >&2 || { found=1; tail -40 "build/fuzz/$fuzzer.log" >&2; say "$fuzzer found something"; }
  done
  [ "$found" -eq 0 ] || fail "inputs that fail are in build/fuzz/findings/"
}

cpp_files() { git ls-files -co --exclude-standard -- 'src/*.h' 'src/*.cc' 'bench/*.h' 'bench/*.cc' 'tests/*.h' 'tests/*.cc'; }

# Files that differ from the main branch, in commits or in the work tree.
changed_files() {
  local base
  base=$(git merge-base HEAD origin/main 2>/dev/null || git rev-parse HEAD~1 2>/dev/null || git rev-parse HEAD)
  { git diff --name-only --diff-filter=d "$base"; git ls-files -o --exclude-standard; } | sort -u
}

existing() { while IFS= read -r file; do [ ! -f "$file" ] || printf '%s\n' "$file"; done; }

format_sources() {
  if [ "${1:-}" = --check ]; then
    cpp_files | existing | xargs -r clang-format-19 --dry-run --Werror || fail "run ./dev fmt"
    [ ! -f web/biome.json ] || (cd web && npx --no-install biome format .) >&2 || fail "run ./dev fmt"
  else
    cpp_files | existing | xargs -r clang-format-19 -i
    [ ! -f web/biome.json ] || (cd web && npx --no-install biome format --write .) >&2
  fi
}

lint_sources() {
  local files
  if [ "${1:-}" = --all ]; then files=$(cpp_files | existing); else files=$(changed_files | existing); fi
  local cpp sources
  cpp=$(grep -E '^(src|bench|tests)/.*\.(h|cc)$' <<<"$files" || true)
  sources=$(grep -E '^src/.*\.cc$' <<<"$files" | grep -vE '_(test|bench|fuzz)\.cc$' || true)
  if [ -n "$cpp" ]; then
    xargs -r clang-format-19 --dry-run --Werror <<<"$cpp" || fail "run ./dev fmt"
  fi
  if [ -n "$sources" ]; then
    configure debug
    # shellcheck disable=SC2046
    build_cpp debug $(targets_like debug 'flux_pch_[a-z]*') $(targets_like debug 'flux_embedded_[a-z]*')
    say "clang-tidy of $(wc -l <<<"$sources") files"
    xargs -r -n 1 -P "$jobs" clang-tidy-19 -p build/debug --quiet --warnings-as-errors='*' <<<"$sources" 2>/dev/null ||
      fail "clang-tidy has findings"
  fi
  if grep -q '^web/' <<<"$files" && [ -f web/package.json ]; then
    (cd web && npm run --silent check) >&2 || fail "the web app's check has findings"
  fi
  say "nothing to complain about"
}

ready_to_run() {
  setup build
  build_web
  build_cpp release fluxgate
}
