# SPDX-License-Identifier: MIT
#
# The only place where flags of an instruction set are handled.

include(CheckCCompilerFlag)
include(CheckCSourceCompiles)

# Asked of the compiler: CMAKE_SYSTEM_PROCESSOR names the machine, which is
# another thing under -m32 or in a 32-bit container.
check_c_source_compiles("
#if !defined(__x86_64__) && !defined(__i386__)
#error
#endif
int main(void) { return 0; }" FOCALGHM_ARCH_X86)
check_c_source_compiles("
#ifndef __aarch64__
#error
#endif
int main(void) { return 0; }" FOCALGHM_ARCH_AARCH64)
# A module of WebAssembly has SIMD or not: no program can ask, so the builder says (-msimd128).
check_c_source_compiles("
#ifndef __wasm_simd128__
#error
#endif
int main(void) { return 0; }" FOCALGHM_ARCH_WASM_SIMD)
if(FOCALGHM_ARCH_X86)
  set(focalghm_arch x86)
elseif(FOCALGHM_ARCH_AARCH64)
  set(focalghm_arch aarch64)
elseif(FOCALGHM_ARCH_WASM_SIMD)
  set(focalghm_arch wasm_simd)
else()
  set(focalghm_arch other)
endif()

# Whether the pool needs libm, and so what is linked with the library.
string(REPLACE ";" " " CMAKE_REQUIRED_FLAGS "${focalghm_arithmetic}")
check_c_source_compiles("
#include \"${PROJECT_SOURCE_DIR}/src/environment.h\"
#if FGHM_ENVIRONMENT_IN_LIBM
#error
#endif
int main(void) { return 0; }" FOCALGHM_WITHOUT_LIBM)
unset(CMAKE_REQUIRED_FLAGS)

# Whether fused multiply-add takes more than an instruction.
check_c_source_compiles("
#include \"${PROJECT_SOURCE_DIR}/src/fused.h\"
#if FGHM_FUSED_INLINE
#error
#endif
int main(void) { return 0; }" FOCALGHM_WITHOUT_FUSED)

# A set-uid program must not listen to the environment: the C library knows.
include(CheckSymbolExists)
set(CMAKE_REQUIRED_DEFINITIONS -D_GNU_SOURCE)
check_symbol_exists(secure_getenv stdlib.h FOCALGHM_SECURE_GETENV)
unset(CMAKE_REQUIRED_DEFINITIONS)
set(secure_getenv 0)
if(FOCALGHM_SECURE_GETENV)
  set(secure_getenv 1)
endif()
set_property(SOURCE src/dispatch.c APPEND PROPERTY COMPILE_DEFINITIONS
  FGHM_HAVE_SECURE_GETENV=${secure_getenv})

# Besides -O2 (see FocalghmFlags.cmake), the plain loops of tiles need the vectorizer, but no
# vectors for what is left of each.
set(focalghm_kernel_optimization)
if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
  list(APPEND focalghm_kernel_optimization
    -ftree-vectorize -fvect-cost-model=dynamic -fno-unswitch-loops)
  check_c_compiler_flag(--param=vect-epilogues-nomask=0 FOCALGHM_FLAG_EPILOGUES)
  if(FOCALGHM_FLAG_EPILOGUES)
    list(APPEND focalghm_kernel_optimization --param=vect-epilogues-nomask=0)
  endif()
endif()

# focalghm_add_isa(target name architecture flags...): adds src/isa/isa_<name>_f32.c and
# _f64.c with these flags to the target, if this is the architecture and the compiler knows
# the flags.  src/dispatch.c sees by FGHM_HAVE_<NAME>, 1 or 0, whether it did; of the scalar
# and the unfused row it is told by target.  Source properties hold for the directory that sets them, so call
# it where the targets are made.
#
# focalghm_isas collects the names, focalghm_isa_flags_<name> the flags.
set(focalghm_isas)
function(focalghm_add_isa target name architecture)
  string(TOUPPER ${name} upper)
  set(usable 0)
  if(architecture STREQUAL focalghm_arch OR architecture STREQUAL "any")
    string(REPLACE ";" " " flags "${ARGN}")
    check_c_compiler_flag("${flags}" FOCALGHM_FLAGS_${upper})
    if(FOCALGHM_FLAGS_${upper})
      set(usable 1)
    endif()
  endif()
  add_feature_info(${name} ${usable} "kernels for this instruction set")
  if(NOT name MATCHES "^(scalar|unfused)$")
    set_property(SOURCE src/dispatch.c APPEND PROPERTY COMPILE_DEFINITIONS
      FGHM_HAVE_${upper}=${usable})
  endif()
  if(NOT usable)
    return()
  endif()

  foreach(real f32 f64)
    set(source src/isa/isa_${name}_${real}.c)
    target_sources(${target} PRIVATE ${source})
    # -fno-lto: link-time optimization would let code for this instruction set into
    # functions that run on every processor.  -Wdouble-promotion: a kernel that
    # computes in double where it should in float is a mistake.  -Wno-cast-align:
    # unaligned loads take pointers to vectors.
    set_property(SOURCE ${source} APPEND PROPERTY COMPILE_OPTIONS
      "$<${focalghm_optimizes}:${focalghm_kernel_optimization}>"
      ${ARGN} -fno-lto -Wdouble-promotion -Wno-cast-align)
  endforeach()
  set(focalghm_isas ${focalghm_isas} ${name} PARENT_SCOPE)
  set(focalghm_isa_flags_${name} "${ARGN}" PARENT_SCOPE)
endfunction()
