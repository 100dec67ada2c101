# Language mode, warnings, sanitizers, linker and precompiled header: the same for every target.

set(CMAKE_CXX_STANDARD 23)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_POSITION_INDEPENDENT_CODE OFF)

set(FLUX_SANITIZE "" CACHE STRING "Sanitizers to build with: 'address,undefined' or 'thread'")
option(FLUX_FUZZERS "Build the libFuzzer targets" OFF)

add_compile_options(
  -Wall -Wextra -Wpedantic -Werror -Wconversion -Wno-sign-conversion -Wshadow -Wnon-virtual-dtor
  -Wold-style-cast -Wimplicit-fallthrough
  $<$<COMPILE_LANGUAGE:CXX>:-Wno-c99-designator> -Wno-missing-field-initializers
  -fdiagnostics-color=auto
  # libstdc++ 12's own stable_sort uses a function that libstdc++ 12 deprecates.
  -Wno-deprecated-declarations)
add_compile_options(-march=x86-64-v2 -fno-omit-frame-pointer)

if(FLUX_SANITIZE)
  add_compile_options(-fsanitize=${FLUX_SANITIZE} -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${FLUX_SANITIZE})
endif()

find_program(FLUX_MOLD mold)
if(FLUX_MOLD)
  add_link_options(-fuse-ld=mold)
endif()

find_program(FLUX_CCACHE ccache)
if(FLUX_CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${FLUX_CCACHE})
  set(CMAKE_C_COMPILER_LAUNCHER ${FLUX_CCACHE})
endif()

# One link at a time: a link takes memory and both cores are busy compiling anyway.
set_property(GLOBAL PROPERTY JOB_POOLS link=1)
set(CMAKE_JOB_POOL_LINK link)
