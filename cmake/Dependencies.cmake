# Everything that kedge's libraries link, found in one place and seen by every folder. An installed kedge finds the
# same by including this file from kedgeConfig.cmake.

include(CMakeFindDependencyMacro)
list(PREPEND CMAKE_MODULE_PATH "${CMAKE_CURRENT_LIST_DIR}")

find_dependency(Threads)
find_dependency(fmt)
find_dependency(TBB)
find_dependency(NLopt)                         # NLopt::nlopt
find_dependency(hwy)                          # hwy::hwy
find_dependency(MuJoCo 2.2.2)                 # FindMuJoCo.cmake: mujoco::mujoco
find_dependency(tinyxml2)                     # tinyxml2::tinyxml2
enable_language(C)                            # CMake's search for HDF5 compiles C
find_dependency(HDF5 COMPONENTS C)            # hdf5::hdf5
find_dependency(ZLIB)                         # ZLIB::ZLIB
find_dependency(PNG)                          # PNG::PNG
find_dependency(Eigen3 NO_MODULE)             # Eigen3::Eigen
if(Eigen3_VERSION VERSION_LESS 3.4)
  message(FATAL_ERROR "kedge needs Eigen 3.4 or newer, but ${Eigen3_DIR} has ${Eigen3_VERSION}")
endif()

# toml++ is a compiled library on Debian and often only headers elsewhere.
find_package(tomlplusplus QUIET)
if(NOT TARGET tomlplusplus::tomlplusplus)
  find_path(tomlplusplus_INCLUDE_DIR toml++/toml.h)
  if(NOT tomlplusplus_INCLUDE_DIR)
    message(FATAL_ERROR "kedge needs toml++ (libtomlplusplus-dev)")
  endif()
  add_library(tomlplusplus::tomlplusplus INTERFACE IMPORTED)
  target_include_directories(tomlplusplus::tomlplusplus INTERFACE "${tomlplusplus_INCLUDE_DIR}")
endif()
