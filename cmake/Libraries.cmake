# Third-party libraries, each under one name. Rooms link the names, never raw flags.

find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)

function(flux_pkg name module)
  pkg_check_modules(${name} REQUIRED IMPORTED_TARGET ${module})
  add_library(lib::${name} ALIAS PkgConfig::${name})
endfunction()

flux_pkg(xxhash libxxhash)
flux_pkg(zstd libzstd)
flux_pkg(simdjson simdjson)
flux_pkg(sodium libsodium)
flux_pkg(cjose cjose)
flux_pkg(openssl openssl)
flux_pkg(sqlite sqlite3)
flux_pkg(yaml yaml-cpp)
find_library(FLUX_WSLAY wslay REQUIRED)
# Its .pc file asks for -pthread, which the precompiled headers are not made with.
find_library(FLUX_RE2 re2 REQUIRED)
flux_pkg(zlib zlib)
flux_pkg(brotlienc libbrotlienc)
flux_pkg(curl libcurl)
flux_pkg(gtest gtest)
flux_pkg(benchmark benchmark)

find_package(Boost 1.81 REQUIRED)
find_library(FLUX_JEMALLOC jemalloc REQUIRED)
find_library(FLUX_RAPIDCHECK rapidcheck REQUIRED)

# Executables link this one. Sanitizers bring an allocator of their own.
if(NOT FLUX_SANITIZE)
  set(FLUX_JEMALLOC_IF_PLAIN ${FLUX_JEMALLOC})
endif()
