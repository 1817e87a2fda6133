# SPDX-License-Identifier: MIT
#
# The only place where flags of an instruction set are handled.

include(CheckCCompilerFlag)
include(CheckCSourceCompiles)

# Asked of the compiler: CMAKE_SYSTEM_PROCESSOR names the machine, which is
# another thing under -m32 or in a 32-bit container.
check_c_source_compiles("
#ifndef __x86_64__
#error
#endif
int main(void) { return 0; }" FOCALGHM_ARCH_X86_64)
check_c_source_compiles("
#ifndef __aarch64__
#error
#endif
int main(void) { return 0; }" FOCALGHM_ARCH_AARCH64)
if(FOCALGHM_ARCH_X86_64)
  set(focalghm_arch x86_64)
elseif(FOCALGHM_ARCH_AARCH64)
  set(focalghm_arch aarch64)
else()
  set(focalghm_arch other)
endif()

# focalghm_add_isa(name architecture flags...): adds src/isa/isa_<name>_f32.c and
# _f64.c with these flags, if this is the architecture and the compiler knows the
# flags.  src/dispatch.c sees by FGHM_HAVE_<NAME>, 1 or 0, whether it did.  Source
# properties hold for the directory that sets them, so call it where
# focalghm_objects is made.
#
# focalghm_isas collects the names, focalghm_isa_flags_<name> the flags.
set(focalghm_isas)
function(focalghm_add_isa name architecture)
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
  set_property(SOURCE src/dispatch.c APPEND PROPERTY COMPILE_DEFINITIONS
    FGHM_HAVE_${upper}=${usable})
  if(NOT usable)
    return()
  endif()

  foreach(real f32 f64)
    set(source src/isa/isa_${name}_${real}.c)
    target_sources(focalghm_objects PRIVATE ${source})
    # -fno-lto: link-time optimization would let code for this instruction set into
    # functions that run on every processor.  -Wdouble-promotion: a kernel that
    # computes in double where it should in float is a mistake.  -Wno-cast-align:
    # unaligned loads take pointers to vectors.
    set_property(SOURCE ${source} APPEND PROPERTY COMPILE_OPTIONS
      ${ARGN} -fno-lto -Wdouble-promotion -Wno-cast-align
      $<$<NOT:$<CONFIG:Debug>>:-O3 $<$<C_COMPILER_ID:GNU>:-fno-unswitch-loops>>)
  endforeach()
  set(focalghm_isas ${focalghm_isas} ${name} PARENT_SCOPE)
  set(focalghm_isa_flags_${name} "${ARGN}" PARENT_SCOPE)
endfunction()
