# SPDX-License-Identifier: MIT
#
# The flags of every C target here.  None of them names an instruction set: the
# library runs on the oldest processor of its architecture and chooses at run
# time (see FocalghmIsa.cmake).

set(focalghm_warnings
  -Wall -Wextra -Wconversion -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wundef -Wvla
  -Wcast-align -Wpointer-arith -Wwrite-strings)

# Sanitizers must be in every object and every link, so they go by directory.
if(FOCALGHM_SANITIZE)
  add_compile_options(-fsanitize=${FOCALGHM_SANITIZE} -fno-sanitize-recover=all
    -fno-omit-frame-pointer -g)
  add_link_options(-fsanitize=${FOCALGHM_SANITIZE})
endif()

function(focalghm_set_flags target)
  set_target_properties(${target} PROPERTIES
    C_STANDARD 11
    C_STANDARD_REQUIRED ON
    C_EXTENSIONS OFF)
  target_compile_options(${target} PRIVATE
    ${focalghm_warnings}
    $<$<BOOL:${FOCALGHM_WERROR}>:-Werror>
    # The source says where it fuses; a compiler that fuses on its own changes
    # the result from one instruction set to the next.
    -ffp-contract=off
    -fno-math-errno
    # No path of the build machine in a binary.
    -ffile-prefix-map=${PROJECT_SOURCE_DIR}=.
    -ffile-prefix-map=${PROJECT_BINARY_DIR}=.)
endfunction()

# What the shared library exports.  Only ELF linkers know version scripts.
function(focalghm_set_exports target map)
  if(UNIX AND NOT APPLE)
    target_link_options(${target} PRIVATE "-Wl,--version-script=${map}")
    set_property(TARGET ${target} APPEND PROPERTY LINK_DEPENDS "${map}")
  endif()
endfunction()
