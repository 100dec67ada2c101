# flux_embed(TARGET NAME DIR)
#
# Puts the files below DIR into TARGET: `#include "embedded/NAME.h"` declares `flux::embedded::NAME()`, a table of them
# (see core/embedded_file.h), each with the gzip and brotli forms that are smaller than itself. The bytes become one
# object by .incbin: a changed file costs that object, its table and the link.
enable_language(ASM)

function(flux_embed target name dir)
  # The page of a web app names its files by their hashes, so it changes with each of them.
  set(inputs ${dir}/index.html)
  if(NOT EXISTS ${inputs})
    file(GLOB_RECURSE inputs CONFIGURE_DEPENDS ${dir}/*)
  endif()
  set(out ${CMAKE_BINARY_DIR}/embedded)
  set(tool ${CMAKE_SOURCE_DIR}/tools/embed.py)
  add_custom_command(
    OUTPUT ${out}/${name}.cc ${out}/${name}.bin
    BYPRODUCTS ${out}/${name}.h ${out}/${name}.S
    COMMAND python3 ${tool} --name ${name} --out ${out} --depfile ${out}/${name}.d ${dir}
    DEPENDS ${tool} ${inputs}
    DEPFILE ${out}/${name}.d VERBATIM
    COMMENT "Embedding ${name}")
  set_source_files_properties(${out}/${name}.S PROPERTIES GENERATED ON OBJECT_DEPENDS ${out}/${name}.bin)

  add_library(flux_embedded_${name} OBJECT ${out}/${name}.cc ${out}/${name}.S)
  target_include_directories(flux_embedded_${name} PUBLIC ${CMAKE_BINARY_DIR} ${CMAKE_SOURCE_DIR}/src)
  target_link_libraries(${target} PRIVATE flux_embedded_${name})
endfunction()

# Where the web app comes from: web/dist, or with FLUX_WEB=OFF a page that says it was left out.
option(FLUX_WEB "Embed the web app from web/dist" ON)
if(FLUX_WEB)
  set(FLUX_WEB_DIR ${CMAKE_SOURCE_DIR}/web/dist)
  if(NOT EXISTS ${FLUX_WEB_DIR}/index.html)
    message(FATAL_ERROR "The web app is not built: run ./dev build, or configure with -DFLUX_WEB=OFF to do without it.")
  endif()
else()
  set(FLUX_WEB_DIR ${CMAKE_BINARY_DIR}/no-web)
  file(CONFIGURE OUTPUT ${FLUX_WEB_DIR}/index.html CONTENT
    "<!doctype html><title>Fluxgate</title><p>This build of Fluxgate leaves out the web app (FLUX_WEB=OFF).</p>\n")
endif()
