# SPDX-License-Identifier: MIT
#
# The flags of every C target here.  None of them names an instruction set: the
# library runs on the oldest processor of its architecture and chooses at run
# time (see FocalghmIsa.cmake).

include(CheckCCompilerFlag)
include(CheckCSourceCompiles)

set(focalghm_warnings
  -Wall -Wextra -Wconversion -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wundef -Wvla
  -Wcast-align -Wpointer-arith -Wwrite-strings)

# Sanitizers must be in every object and every link, so they go by directory.
if(FOCALGHM_SANITIZE)
  add_compile_options(-fsanitize=${FOCALGHM_SANITIZE} -fno-sanitize-recover=all
    -fno-omit-frame-pointer -g)
  add_link_options(-fsanitize=${FOCALGHM_SANITIZE})
endif()

# Which arithmetic the compiler may use.  These stand behind CMAKE_C_FLAGS and so undo
# what those allow: no compiler tells by macro of all of it.  src/arithmetic.h refuses what
# is left.
set(focalghm_arithmetic
  # The source says where it fuses; a compiler that fuses on its own changes
  # the result from one instruction set to the next.
  -ffp-contract=off
  -fno-fast-math
  -fno-finite-math-only
  -fno-associative-math
  -fno-reciprocal-math
  -fsigned-zeros
  -fno-math-errno)
# No operation but those of the source, since one may trap.  clang has undone
# -funsafe-math-optimizations by -fno-fast-math, and of what gcc is told would count exceptions of
# operations whose results nobody needs.
if(CMAKE_C_COMPILER_ID MATCHES "Clang")
  set(focalghm_exceptions -ffp-exception-behavior=maytrap)
else()
  set(focalghm_exceptions -ftrapping-math)
  list(APPEND focalghm_arithmetic -fno-unsafe-math-optimizations)
endif()
# Not known to all compilers or for all targets; the others: constants of double stay double; s390x
# and 32-bit x86 do not compute float in double.
foreach(option ${focalghm_exceptions} -fno-single-precision-constant -fexcess-precision=fast)
  string(MAKE_C_IDENTIFIER "FOCALGHM_FLAG${option}" known)
  check_c_compiler_flag("-Werror ${option}" ${known})
  if(${known})
    list(APPEND focalghm_arithmetic ${option})
  endif()
endforeach()
check_c_source_compiles("
#if !defined(__i386__) || defined(__SSE2_MATH__)
#error
#endif
int main(void) { return 0; }" FOCALGHM_X87)
if(FOCALGHM_X87)
  list(APPEND focalghm_arithmetic -msse2 -mfpmath=sse)
endif()

function(focalghm_set_flags target)
  set_target_properties(${target} PROPERTIES
    C_STANDARD 11
    C_STANDARD_REQUIRED ON
    C_EXTENSIONS OFF
    # Files of one target have static functions of the same name.
    UNITY_BUILD OFF)
  target_compile_options(${target} PRIVATE
    ${focalghm_warnings}
    $<$<BOOL:${FOCALGHM_WERROR}>:-Werror>
    ${focalghm_arithmetic}
    # No path of the build machine in code.  Those in debug information are found by debuggers, and
    # changed by the tools of distributions.
    -fmacro-prefix-map=${PROJECT_SOURCE_DIR}=.
    -fmacro-prefix-map=${PROJECT_BINARY_DIR}=.)
endfunction()

# Where there is debug information, it has all types and constants of the headers, not only
# those that a file uses: abidiff compares them.  clang takes the flag and warns of it.
set(focalghm_debug_types)
if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
  set(focalghm_debug_types -fno-eliminate-unused-debug-types)
endif()

# For what the libraries are made of: nothing of it gains from -O3, which takes much more room,
# so -O2 stands where nobody has chosen, that is in place of CMake's own -O3 and, in a project
# without a build type, of none.  A level in CMAKE_C_FLAGS or in the flags of a build type is
# the builder's choice.
string(REGEX MATCHALL "(^| )-O[^ ]*" focalghm_level "${CMAKE_C_FLAGS}")
list(FILTER focalghm_level EXCLUDE REGEX "-Ofast") # a level, and an arithmetic that is refused
if(focalghm_level)
  list(GET focalghm_level -1 focalghm_level)
  string(STRIP "${focalghm_level}" focalghm_level)
else()
  set(focalghm_level -O2)
endif()
set(focalghm_types_with_level $<CONFIG:Debug>,$<CONFIG:MinSizeRel>)
if(CMAKE_C_FLAGS_RELEASE MATCHES "(^| )-O" AND NOT CMAKE_C_FLAGS_RELEASE STREQUAL "-O3 -DNDEBUG")
  string(APPEND focalghm_types_with_level ,$<CONFIG:Release>)
endif()
if(CMAKE_C_FLAGS_RELWITHDEBINFO MATCHES "(^| )-O"
    AND NOT CMAKE_C_FLAGS_RELWITHDEBINFO STREQUAL "-O2 -g -DNDEBUG")
  string(APPEND focalghm_types_with_level ,$<CONFIG:RelWithDebInfo>)
endif()
set(focalghm_optimizes $<NOT:$<OR:${focalghm_types_with_level}>>)

# Structs of a hundred bytes are cleared and copied in small calls, for which gcc takes the string
# instructions of x86: those cost 30 cycles before the first byte.
set(focalghm_small_structs)
if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
  foreach(function memset memcpy)
    set(strategy -m${function}-strategy=unrolled_loop:512:noalign,libcall:-1:noalign)
    check_c_compiler_flag(${strategy} FOCALGHM_FLAG_${function}_STRATEGY)
    if(FOCALGHM_FLAG_${function}_STRATEGY)
      list(APPEND focalghm_small_structs ${strategy})
    endif()
  endforeach()
endif()

# Padding in front of loops and branches took 3 of 100 bytes and no time that could be measured.
set(focalghm_alignment)
if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
  set(focalghm_alignment -falign-loops=1 -falign-jumps=1)
endif()

function(focalghm_set_internal_flags target)
  focalghm_set_flags(${target})
  set_target_properties(${target} PROPERTIES
    LINKER_LANGUAGE C
    C_VISIBILITY_PRESET hidden
    POSITION_INDEPENDENT_CODE ON)
  target_compile_options(${target} PRIVATE
    $<${focalghm_optimizes}:${focalghm_level}>
    "$<${focalghm_optimizes}:${focalghm_small_structs}>"
    "$<${focalghm_optimizes}:${focalghm_alignment}>"
    ${focalghm_debug_types}
    "SHELL:-include \"${PROJECT_SOURCE_DIR}/src/arithmetic.h\"")
  if(FOCALGHM_PREFIX)
    target_compile_options(${target} PRIVATE
      "SHELL:-include \"${focalghm_internal_names}\"")
  endif()
  target_include_directories(${target} PRIVATE
    "${focalghm_include_dir}" "${PROJECT_SOURCE_DIR}/src")
endfunction()

# What the shared library exports, and that its own calls stay inside.  Only ELF linkers
# know version scripts.  nodelete: a program that closes the library (dlclose) while a pool exists
# would take the code away from the pool's threads.
function(focalghm_set_exports target)
  if(UNIX AND NOT APPLE)
    target_link_options(${target} PRIVATE
      -Wl,-Bsymbolic-functions -Wl,-z,nodelete
      "-Wl,--version-script=${focalghm_version_script}")
    set_property(TARGET ${target} APPEND PROPERTY LINK_DEPENDS "${focalghm_version_script}")
  endif()
endfunction()
