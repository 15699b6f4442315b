# Kokkos and Kokkos Kernels: targets that exist already, else installed packages, else built once by kokkos.sh.
# MPI, nlohmann-json, (for pictures) libpng, (for rasters) GDAL and (for NetCDF files) its C library: installed packages.

# A project that adds this one as a subdirectory links dchag::dchag from outside this folder.
set(CMAKE_FIND_PACKAGE_TARGETS_GLOBAL ON)

# Any version from 4.5 to before 6. A package answers for its own major version alone, so each is asked for in turn; a
# search that fails forgets Kokkos_DIR, which may be right for the next.
macro(dchag_find_kokkos)
  foreach(version 5 4.5)
    if(NOT TARGET Kokkos::kokkos)
      set(dchag_kokkos_folder "${Kokkos_DIR}")
      find_package(Kokkos ${version} CONFIG QUIET)
      if(NOT Kokkos_FOUND)
        set(Kokkos_DIR "${dchag_kokkos_folder}" CACHE PATH "Folder of KokkosConfig.cmake" FORCE)
      endif()
    endif()
  endforeach()
  if(TARGET Kokkos::kokkos AND NOT TARGET Kokkos::kokkoskernels)
    find_package(KokkosKernels CONFIG QUIET)
  endif()
endmacro()

dchag_find_kokkos()

if(NOT TARGET Kokkos::kokkos AND DCHAG_OBTAIN_KOKKOS)
  message(STATUS "Kokkos is not installed: cmake/kokkos.sh builds it, or finds what it built before")
  execute_process(
    COMMAND "${CMAKE_COMMAND}" -E env "CXX=${CMAKE_CXX_COMPILER}" bash "${CMAKE_CURRENT_LIST_DIR}/kokkos.sh" host
    OUTPUT_VARIABLE dchag_kokkos_prefix OUTPUT_STRIP_TRAILING_WHITESPACE RESULT_VARIABLE dchag_kokkos_result)
  if(NOT dchag_kokkos_result EQUAL 0)
    message(FATAL_ERROR "cmake/kokkos.sh failed: the messages above say why")
  endif()
  string(REGEX REPLACE ".*\n" "" dchag_kokkos_prefix "${dchag_kokkos_prefix}")
  list(PREPEND CMAKE_PREFIX_PATH "${dchag_kokkos_prefix}")
  dchag_find_kokkos()
endif()

foreach(package Kokkos KokkosKernels)
  string(TOLOWER ${package} target)
  if(NOT TARGET Kokkos::${target})
    message(FATAL_ERROR
      "${package} not found (Kokkos 4.5 to 5 and Kokkos Kernels of the same version are needed): add their folders to "
      "CMAKE_PREFIX_PATH, make their targets available before this project, or set DCHAG_OBTAIN_KOKKOS=ON")
  endif()
endforeach()

set(MPI_CXX_SKIP_MPICXX TRUE)  # the C interface is enough
find_package(MPI QUIET COMPONENTS CXX)
if(NOT MPI_CXX_FOUND)
  message(FATAL_ERROR "MPI not found: install one (Debian: apt-get install libopenmpi-dev openmpi-bin), "
                      "or set MPI_HOME to its folder")
endif()

if(NOT TARGET nlohmann_json::nlohmann_json)
  find_package(nlohmann_json 3.11 CONFIG QUIET)
  if(NOT nlohmann_json_FOUND)
    message(FATAL_ERROR "nlohmann-json 3.11 not found: install it (Debian: apt-get install nlohmann-json3-dev), "
                        "or add its folder to CMAKE_PREFIX_PATH")
  endif()
endif()

find_package(PNG QUIET)
if(NOT PNG_FOUND)
  message(STATUS "libpng not found: dchag::picture is left out (Debian: apt-get install libpng-dev)")
endif()

find_package(GDAL 3.5 QUIET)
if(NOT GDAL_FOUND)
  message(STATUS "GDAL 3.5 or later not found: dchag::raster is left out (Debian: apt-get install libgdal-dev)")
endif()

include("${CMAKE_CURRENT_LIST_DIR}/DchagNetcdf.cmake")
if(NOT TARGET dchag_netcdf_c)
  message(STATUS "The C library of NetCDF not found: dchag::netcdf is left out (Debian: apt-get install libnetcdf-dev)")
endif()
