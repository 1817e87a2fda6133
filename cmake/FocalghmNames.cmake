# SPDX-License-Identifier: MIT
#
# The global names of the library: the headers, which FOCALGHM_PREFIX changes, and the
# version script of the shared library.

set(focalghm_symbol_list "${PROJECT_SOURCE_DIR}/tests/abi/symbols.txt")

# Under a prefix, the headers are copies, in which prefix.h renames what the library exports.
# A header that goes before each source file renames all other names of the library: without
# it, two copies in one program would share their internals.
set(focalghm_include_dir "${PROJECT_SOURCE_DIR}/include")
if(FOCALGHM_PREFIX)
  if(NOT FOCALGHM_PREFIX MATCHES "^[A-Za-z_][A-Za-z0-9_]*$")
    message(FATAL_ERROR "FOCALGHM_PREFIX is \"${FOCALGHM_PREFIX}\", with which no name can start")
  endif()
  set(focalghm_include_dir "${PROJECT_BINARY_DIR}/include")
  set(focalghm_internal_names "${PROJECT_BINARY_DIR}/internal_names.h")

  set(public_text)
  file(GLOB headers CONFIGURE_DEPENDS include/focalghm/*.h)
  foreach(header IN LISTS headers)
    get_filename_component(name "${header}" NAME)
    file(READ "${header}" text)
    string(APPEND public_text "${text}")
    if(NOT name STREQUAL "prefix.h")
      configure_file("${header}" "${focalghm_include_dir}/focalghm/${name}" COPYONLY)
    endif()
  endforeach()
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${focalghm_symbol_list}")
  file(STRINGS "${focalghm_symbol_list}" focalghm_symbols REGEX "^fghm_")
  set(focalghm_renames)
  foreach(line IN LISTS focalghm_symbols)
    string(REGEX MATCH "^[a-z0-9_]+" symbol "${line}")
    string(APPEND focalghm_renames "#define ${symbol} ${FOCALGHM_PREFIX}${symbol}\n")
  endforeach()
  configure_file(cmake/prefix.h.in "${focalghm_include_dir}/focalghm/prefix.h" @ONLY)

  # Types, which no linker sees, are renamed with the rest, but for those of the headers.
  string(REGEX MATCHALL "fghm_[a-z0-9_]+" public "${public_text}")
  set(internal)
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS src/*.c src/*.h)
  foreach(source IN LISTS sources)
    file(READ "${source}" text)
    string(REGEX MATCHALL "fghm_[a-z0-9_]+" names "${text}")
    list(APPEND internal ${names})
  endforeach()
  list(REMOVE_DUPLICATES internal)
  list(REMOVE_ITEM internal ${public})
  list(SORT internal)
  set(text)
  foreach(name IN LISTS internal)
    string(APPEND text "#define ${name} ${FOCALGHM_PREFIX}${name}\n")
  endforeach()
  file(WRITE "${focalghm_internal_names}.new" "${text}")
  configure_file("${focalghm_internal_names}.new" "${focalghm_internal_names}" COPYONLY)
endif()

set(focalghm_version_script "${PROJECT_SOURCE_DIR}/cmake/focalghm.map")
