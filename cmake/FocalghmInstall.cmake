# SPDX-License-Identifier: MIT
#
# Libraries, headers, a pkg-config file, a CMake package, the licence.

include(CMakePackageConfigHelpers)

set(focalghm_package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/focalghm)

# Each library with targets of its own: distributions have the static one in another package, and
# a file of targets wants all that it names.
foreach(library IN LISTS focalghm_libraries)
  set(kind shared)
  if(library STREQUAL "focalghm_static")
    set(kind static)
  endif()
  install(TARGETS ${library} EXPORT focalghm-${kind}-targets
    RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR}
    LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
    ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
  install(EXPORT focalghm-${kind}-targets NAMESPACE focalghm:: DESTINATION ${focalghm_package_dir})
endforeach()
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DATAROOTDIR}/licenses/focalghm)
install(DIRECTORY "${focalghm_include_dir}/focalghm" DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
  FILES_MATCHING PATTERN "*.h")
install(FILES src/bindings/cpp/focalghm.hpp DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})

# CMake package: find_package(focalghm).  A 0.x release may break with each minor
# number, later ones with the major number only.
set(series ${PROJECT_VERSION_MAJOR})
if(PROJECT_VERSION_MAJOR EQUAL 0)
  set(series ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})
endif()
configure_file(cmake/focalghm-config-version.cmake.in
  ${PROJECT_BINARY_DIR}/focalghm-config-version.cmake @ONLY)
configure_package_config_file(cmake/focalghm-config.cmake.in
  ${PROJECT_BINARY_DIR}/focalghm-config.cmake
  INSTALL_DESTINATION ${focalghm_package_dir}
  NO_SET_AND_CHECK_MACRO)
install(FILES
  ${PROJECT_BINARY_DIR}/focalghm-config.cmake
  ${PROJECT_BINARY_DIR}/focalghm-config-version.cmake
  DESTINATION ${focalghm_package_dir})

# pkg-config file.  The install directories may be absolute; those that are not
# stay below ${prefix}, so that the tree can be moved.
function(focalghm_pc_path variable dir)
  if(NOT IS_ABSOLUTE "${dir}")
    string(PREPEND dir "\${prefix}/")
  endif()
  set(${variable} "${dir}" PARENT_SCOPE)
endfunction()
focalghm_pc_path(pc_libdir "${CMAKE_INSTALL_LIBDIR}")
focalghm_pc_path(pc_includedir "${CMAKE_INSTALL_INCLUDEDIR}")
string(REPLACE ";" " " pc_libraries "${focalghm_private_libraries}")
set(pc_cflags "")
if(FOCALGHM_BUILD_SHARED)
  set(pc_libs "-L\${libdir} -lfocalghm")
  set(pc_libs_private "${pc_libraries}")
else()
  # With a static library alone, nobody can do without what it needs.
  set(pc_libs "-L\${libdir} -lfocalghm ${pc_libraries}")
  set(pc_libs_private "")
  set(pc_cflags " -DFGHM_STATIC")
endif()

# The prefix is filled in last: `cmake --install --prefix` may still change it, and may say
# it from where it is called.
set(pc_prefix "@CMAKE_INSTALL_PREFIX@")
configure_file(cmake/focalghm.pc.in ${PROJECT_BINARY_DIR}/focalghm.pc.in @ONLY)
install(CODE "get_filename_component(CMAKE_INSTALL_PREFIX \"\${CMAKE_INSTALL_PREFIX}\" ABSOLUTE)
  configure_file(\"${PROJECT_BINARY_DIR}/focalghm.pc.in\"
  \"${PROJECT_BINARY_DIR}/focalghm.pc\" @ONLY)")
install(FILES ${PROJECT_BINARY_DIR}/focalghm.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
