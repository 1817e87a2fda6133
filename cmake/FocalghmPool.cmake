# SPDX-License-Identifier: MIT
#
# The libraries behind libfocalghm: the C library's own, and pthreadpool if there
# is one.  pthreadpool comes without a pkg-config or CMake file in distributions,
# so it is looked for by name.
#
# Sets focalghm_private_libraries, for target_link_libraries; and
# focalghm_pc_libraries, the same for the pkg-config file.

set(focalghm_have_pool OFF)
set(focalghm_private_libraries)
set(focalghm_pc_libraries)
if(FOCALGHM_PTHREADPOOL)
  find_path(FOCALGHM_PTHREADPOOL_INCLUDE_DIR pthreadpool.h)
  find_library(FOCALGHM_PTHREADPOOL_LIBRARY pthreadpool)
  mark_as_advanced(FOCALGHM_PTHREADPOOL_INCLUDE_DIR FOCALGHM_PTHREADPOOL_LIBRARY)
  if(FOCALGHM_PTHREADPOOL_INCLUDE_DIR AND FOCALGHM_PTHREADPOOL_LIBRARY)
    set(focalghm_have_pool ON)
  elseif(NOT FOCALGHM_PTHREADPOOL STREQUAL "AUTO")
    message(FATAL_ERROR "FOCALGHM_PTHREADPOOL is ON, but pthreadpool was not found")
  endif()
endif()
add_feature_info(pthreadpool ${focalghm_have_pool} "pools of more than one thread")

find_package(Threads REQUIRED)
if(focalghm_have_pool)
  # In an installed package the path would be that of the build machine; there
  # the package file looks for the library again.
  set(focalghm_private_libraries $<BUILD_INTERFACE:${FOCALGHM_PTHREADPOOL_LIBRARY}>)
  set(focalghm_pc_libraries -lpthreadpool)
endif()
# Plain flags, not Threads::Threads: a target of that kind would have to exist
# wherever the static library is linked.
list(APPEND focalghm_private_libraries ${CMAKE_THREAD_LIBS_INIT} -lm)
list(APPEND focalghm_pc_libraries ${CMAKE_THREAD_LIBS_INIT} -lm)

# focalghm_use_pool(source): lets this source of focalghm_objects call the pool,
# and tells it so by FGHM_HAVE_PTHREADPOOL.
function(focalghm_use_pool source)
  if(focalghm_have_pool)
    target_include_directories(focalghm_objects PRIVATE "${FOCALGHM_PTHREADPOOL_INCLUDE_DIR}")
    set_property(SOURCE ${source} APPEND PROPERTY COMPILE_DEFINITIONS FGHM_HAVE_PTHREADPOOL=1)
  endif()
endfunction()
