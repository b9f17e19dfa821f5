# Settings that every target shares, and one function for each kind of target.

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
find_program(KEDGE_CCACHE ccache)
if(KEDGE_CCACHE)  # what ccache asks for before it keeps files that use precompiled headers
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env CCACHE_SLOPPINESS=pch_defines,time_macros ${KEDGE_CCACHE})
endif()

add_library(kedge_settings INTERFACE)
add_library(kedge::settings ALIAS kedge_settings)
set_target_properties(kedge_settings PROPERTIES EXPORT_NAME settings)
target_compile_features(kedge_settings INTERFACE cxx_std_20)
# One alignment for the library and for whoever links it, whatever their -march; and products of large matrices in blocks
# of one size, not of the size of this processor's caches: the blocks decide the order of sums.
target_compile_definitions(kedge_settings INTERFACE EIGEN_MAX_ALIGN_BYTES=64 EIGEN_NO_CPUID)

add_library(kedge_private INTERFACE)
target_compile_options(kedge_private INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion
                                               # false alarms in GCC 12's AVX-512 header
                                               -Wno-maybe-uninitialized -Wno-uninitialized
                                               -ffp-contract=fast -fno-math-errno)
# Optimised builds are hardened: checks of the stack and of the C library's buffers, marks for indirect jumps (x86 CET),
# position-independent programs whose tables are read-only once they are loaded. tests/cli/hardened.sh holds the program
# to it; SECURITY.md says what it costs.
include(CheckCXXCompilerFlag)
include(CheckPIESupported)
check_pie_supported(LANGUAGES CXX)
check_cxx_compiler_flag(-fcf-protection=full KEDGE_HAS_CET)
set(hardening -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2 -fstack-protector-strong)
if(KEDGE_HAS_CET)
  list(APPEND hardening -fcf-protection=full)
endif()
target_compile_options(kedge_private INTERFACE "$<$<CONFIG:Release>:${hardening}>")
add_link_options(LINKER:-z,relro LINKER:-z,now)
if(KEDGE_ARCH)
  target_compile_options(kedge_private INTERFACE -march=${KEDGE_ARCH})
endif()
if(KEDGE_WERROR)
  target_compile_options(kedge_private INTERFACE -Werror)
endif()

# Vector kernels use neither AES nor carry-less products: a processor without them is no reason for narrower vectors. Elsewhere
# than on x86 they are compiled once, and not for vectors whose width the compiler does not know.
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  # AVX3_DL has nothing that the kernels use, and Highway 1.0.3 does not compile where it is the baseline (-march=native).
  set(KEDGE_HIGHWAY HWY_DISABLE_PCLMUL_AES HWY_DISABLED_TARGETS=HWY_AVX3_DL)
else()
  set(KEDGE_HIGHWAY HWY_COMPILE_ONLY_STATIC "HWY_DISABLED_TARGETS=(HWY_SVE|HWY_SVE2|HWY_SVE_256|HWY_SVE2_128|HWY_RVV)")
endif()

# What nearly every file includes is parsed once for the library and the program, and once for the tests: Eigen, fmt and
# GoogleTest are seconds a file. Sources do not rely on it: they include what they use.
set(KEDGE_PRECOMPILED <Eigen/Dense> <fmt/format.h> <algorithm> <cmath> <filesystem> <functional> <limits> <map> <memory>
                      <optional> <span> <string> <vector>)
function(kedge_precompile target first)
  if(NOT TARGET ${first} OR target STREQUAL first)
    target_precompile_headers(${target} PRIVATE ${KEDGE_PRECOMPILED} ${ARGN})
  else()
    target_precompile_headers(${target} REUSE_FROM ${first})
  endif()
  target_compile_options(${target} PRIVATE $<$<CXX_COMPILER_ID:GNU>:-fpch-preprocess>)  # for ccache
endfunction()

# kedge_library(<folder> SOURCES ... VECTORS ... DEPENDS ... PRIVATE_DEPENDS ...): target kedge_<folder>, alias kedge::<folder>.
# VECTORS: those of the sources that are compiled for several kinds of vectors (kedge/math/vectors.h).
function(kedge_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;VECTORS;DEPENDS;PRIVATE_DEPENDS" ${ARGN})
  add_library(kedge_${name} STATIC ${ARG_SOURCES})
  add_library(kedge::${name} ALIAS kedge_${name})
  set_target_properties(kedge_${name} PROPERTIES EXPORT_NAME ${name})
  target_include_directories(kedge_${name} PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}>
                                                  $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  target_link_libraries(kedge_${name} PUBLIC kedge::settings ${ARG_DEPENDS}
                                      PRIVATE $<BUILD_INTERFACE:kedge_private> ${ARG_PRIVATE_DEPENDS})
  kedge_precompile(kedge_${name} kedge_core)
  if(ARG_VECTORS)
    set_source_files_properties(${ARG_VECTORS} PROPERTIES COMPILE_OPTIONS -ffp-contract=off SKIP_PRECOMPILE_HEADERS ON
                                COMPILE_DEFINITIONS "${KEDGE_HIGHWAY}")
  endif()
  set_property(GLOBAL APPEND PROPERTY KEDGE_LIBRARIES kedge_${name})
endfunction()

# kedge_test(<folder> SOURCES ... DEPENDS ... [LABELS ...]): test program kedge_<folder>_test, its cases known to ctest
function(kedge_test name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS;LABELS" ${ARGN})
  add_executable(kedge_${name}_test ${ARG_SOURCES})
  # Tests are compiled more often than they run. At -O1 GCC 12 raises more false alarms in its AVX-512 header.
  target_compile_options(kedge_${name}_test PRIVATE -O1 -Wno-uninitialized)
  target_link_libraries(kedge_${name}_test PRIVATE kedge_private ${ARG_DEPENDS} GTest::gmock GTest::gtest_main)
  target_link_libraries(kedge_${name}_test PRIVATE kedge_test_support)
  kedge_precompile(kedge_${name}_test kedge_core_test <gmock/gmock.h> <gtest/gtest.h>)
  gtest_discover_tests(kedge_${name}_test DISCOVERY_MODE PRE_TEST PROPERTIES LABELS "${name};${ARG_LABELS}" TIMEOUT 3600)
endfunction()
