# SPDX-License-Identifier: MIT
#
# focalghm_optional(name module what probe): a library that some tests or benchmarks need, found
# by pkg-config, as the target optional_<name>.  Half of it may be there, a package file without
# headers, or headers without a library: it is there if `probe`, a small program, can be built
# with it, and else left out, with the reason.

include(CheckCSourceCompiles)
include(FeatureSummary)
find_package(PkgConfig)

function(focalghm_optional name module what probe)
  if(TARGET optional_${name})
    return()
  endif()
  set(works OFF)
  if(PKG_CONFIG_FOUND)
    string(TOUPPER ${name} upper)
    pkg_check_modules(FOCALGHM_${upper} ${module})
    if(FOCALGHM_${upper}_FOUND)
      # By its flags: a target that names folders which are not there ends the configuration.
      list(JOIN FOCALGHM_${upper}_CFLAGS " " CMAKE_REQUIRED_FLAGS)
      set(CMAKE_REQUIRED_LIBRARIES ${FOCALGHM_${upper}_LDFLAGS})
      check_c_source_compiles("${probe}" FOCALGHM_${upper}_WORKS)
      set(works ${FOCALGHM_${upper}_WORKS})
      if(NOT works)
        message(STATUS "${module}: left out, it is there, but a small program with it does not build")
      endif()
    endif()
  endif()
  if(works)
    pkg_check_modules(FOCALGHM_${upper}_TARGET IMPORTED_TARGET GLOBAL ${module})
    add_library(optional_${name} INTERFACE IMPORTED GLOBAL)
    set_property(TARGET optional_${name} PROPERTY
      INTERFACE_LINK_LIBRARIES PkgConfig::FOCALGHM_${upper}_TARGET)
  endif()
  add_feature_info(${name} works "${what}")
endfunction()

# Tests and benchmarks need this one.
focalghm_optional(jansson jansson "tests against published numbers, the speed of each kernel" [[
#include <jansson.h>
int main(void) { json_decref(json_object()); return 0; }]])
