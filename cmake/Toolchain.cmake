# Language mode, warnings, sanitizers, linker and compiler cache: the same for every target.

set(CMAKE_CXX_STANDARD 23)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_POSITION_INDEPENDENT_CODE OFF)

set(FLUX_SANITIZE "" CACHE STRING "Sanitizers to build with: 'address,undefined' or 'thread'")
option(FLUX_FUZZERS "Build the libFuzzer targets" OFF)
option(FLUX_PCH "Precompile the standard library's headers" ON)

add_compile_options(
  -Wall -Wextra -Wpedantic -Werror -Wconversion -Wno-sign-conversion -Wshadow -Wimplicit-fallthrough
  $<$<COMPILE_LANGUAGE:CXX>:-Wnon-virtual-dtor> $<$<COMPILE_LANGUAGE:CXX>:-Wold-style-cast>
  $<$<COMPILE_LANGUAGE:CXX>:-Wno-c99-designator> -Wno-missing-field-initializers
  # libstdc++ 12's own stable_sort uses a function that libstdc++ 12 deprecates.
  -Wno-deprecated-declarations
  -fdiagnostics-color=auto)

# Flags that change what a header means; a precompiled header must be made with exactly these.
set(FLUX_CODE_FLAGS -fno-omit-frame-pointer)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  list(APPEND FLUX_CODE_FLAGS -march=x86-64-v2)
endif()
if(FLUX_SANITIZE)
  list(APPEND FLUX_CODE_FLAGS -fsanitize=${FLUX_SANITIZE} -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${FLUX_SANITIZE})
endif()
if(FLUX_FUZZERS)
  list(APPEND FLUX_CODE_FLAGS -fsanitize=fuzzer-no-link)
endif()
add_compile_options(${FLUX_CODE_FLAGS})

# Paths in messages, assertions and debug information are those of the source tree, wherever the clone lies.
add_compile_options(-ffile-prefix-map=${CMAKE_SOURCE_DIR}/=)

find_program(FLUX_MOLD mold)
if(FLUX_MOLD)
  add_link_options(-fuse-ld=mold)
endif()
add_link_options(-Wl,--gc-sections)
add_compile_options(-ffunction-sections -fdata-sections)

# Clones of one user share what ccache holds: it sees paths below the clone relative to it.
find_program(FLUX_CCACHE ccache)
if(FLUX_CCACHE)
  set(launcher env CCACHE_BASEDIR=${CMAKE_SOURCE_DIR} CCACHE_NOHASHDIR=1
    CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime ${FLUX_CCACHE})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${launcher})
  set(CMAKE_C_COMPILER_LAUNCHER ${launcher})
endif()

# One link at a time: a link takes memory and both cores are busy compiling anyway.
set_property(GLOBAL PROPERTY JOB_POOLS link=1)
set(CMAKE_JOB_POOL_LINK link)
