# Finds MuJoCo and defines mujoco::mujoco, the same for a Debian package (2.2.2), an official release folder, an
# installed build and the folder of a Python wheel (any 3.x): all of them hold include/mujoco/mujoco.h, and a library
# in lib/ or beside it. The package's own mujocoConfig.cmake is not used: Debian's names a folder that does not exist.
#
#   MUJOCO_ROOT          where to look, and then only there; a CMake or environment variable
#   MuJoCo_VERSION       set, for example 3.3.7

if(NOT MUJOCO_ROOT AND DEFINED ENV{MUJOCO_ROOT})
  set(MUJOCO_ROOT "$ENV{MUJOCO_ROOT}")
endif()

# A change of MUJOCO_ROOT in an existing build folder must not keep what the old one found.
if(NOT "${MuJoCo_SEARCHED}" STREQUAL "${MUJOCO_ROOT}")
  unset(MuJoCo_INCLUDE_DIR CACHE)
  unset(MuJoCo_LIBRARY CACHE)
endif()
set(MuJoCo_SEARCHED "${MUJOCO_ROOT}" CACHE INTERNAL "MUJOCO_ROOT of the last search")

if(MUJOCO_ROOT)
  # A wheel has no link libmujoco.so, only libmujoco.so.<version>.
  file(GLOB _mujoco_versioned RELATIVE "${MUJOCO_ROOT}" "${MUJOCO_ROOT}/libmujoco.so.*")
  find_path(MuJoCo_INCLUDE_DIR mujoco/mujoco.h PATHS "${MUJOCO_ROOT}" PATH_SUFFIXES include NO_DEFAULT_PATH)
  find_library(MuJoCo_LIBRARY NAMES mujoco ${_mujoco_versioned} PATHS "${MUJOCO_ROOT}"
               PATH_SUFFIXES lib lib/${CMAKE_LIBRARY_ARCHITECTURE} lib64 bin NO_DEFAULT_PATH)
  unset(_mujoco_versioned)
else()
  find_path(MuJoCo_INCLUDE_DIR mujoco/mujoco.h)
  find_library(MuJoCo_LIBRARY NAMES mujoco)
endif()
mark_as_advanced(MuJoCo_INCLUDE_DIR MuJoCo_LIBRARY)

# mjVERSION_HEADER is 222 or 337 up to 3.9, and 3017000 for 3.17.0.
if(MuJoCo_INCLUDE_DIR)
  file(STRINGS "${MuJoCo_INCLUDE_DIR}/mujoco/mujoco.h" _mujoco_line REGEX "^#define mjVERSION_HEADER +[0-9]+")
  string(REGEX MATCH "[0-9]+" _mujoco_number "${_mujoco_line}")
  if(_mujoco_number MATCHES "^([0-9])([0-9])([0-9])$")
    set(MuJoCo_VERSION "${CMAKE_MATCH_1}.${CMAKE_MATCH_2}.${CMAKE_MATCH_3}")
  elseif(_mujoco_number MATCHES "^([0-9]+)([0-9][0-9][0-9])([0-9][0-9][0-9])$")
    math(EXPR _mujoco_minor "${CMAKE_MATCH_2}")
    math(EXPR _mujoco_patch "${CMAKE_MATCH_3}")
    set(MuJoCo_VERSION "${CMAKE_MATCH_1}.${_mujoco_minor}.${_mujoco_patch}")
  endif()
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(
  MuJoCo
  REQUIRED_VARS MuJoCo_LIBRARY MuJoCo_INCLUDE_DIR
  VERSION_VAR MuJoCo_VERSION
  REASON_FAILURE_MESSAGE "install libmujoco-dev, or name a MuJoCo release folder with -DMUJOCO_ROOT=...")

if(MuJoCo_FOUND AND NOT TARGET mujoco::mujoco)
  add_library(mujoco::mujoco SHARED IMPORTED)
  set_target_properties(mujoco::mujoco PROPERTIES IMPORTED_LOCATION "${MuJoCo_LIBRARY}"
                                                  INTERFACE_INCLUDE_DIRECTORIES "${MuJoCo_INCLUDE_DIR}")
endif()
