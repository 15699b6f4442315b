# The installed package: find_package(dchag) gives dchag::dchag; its components picture, raster and netcdf
# give dchag::picture, dchag::raster and dchag::netcdf.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(dchag_package_folder ${CMAKE_INSTALL_LIBDIR}/cmake/dchag)
install(DIRECTORY "${PROJECT_SOURCE_DIR}/include/dchag" DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
        FILES_MATCHING PATTERN "*.hpp")
install(FILES "${PROJECT_SOURCE_DIR}/LICENSE" DESTINATION ${CMAKE_INSTALL_DOCDIR})

install(TARGETS dchag EXPORT dchagTargets)
install(EXPORT dchagTargets NAMESPACE dchag:: DESTINATION ${dchag_package_folder})
if(TARGET dchag_picture)
  install(TARGETS dchag_picture EXPORT dchagPictureTargets)
  install(EXPORT dchagPictureTargets NAMESPACE dchag:: DESTINATION ${dchag_package_folder})
endif()
if(TARGET dchag_raster)
  install(TARGETS dchag_raster EXPORT dchagRasterTargets)
  install(EXPORT dchagRasterTargets NAMESPACE dchag:: DESTINATION ${dchag_package_folder})
endif()

if(TARGET dchag_netcdf)
  install(TARGETS dchag_netcdf EXPORT dchagNetcdfTargets)
  install(EXPORT dchagNetcdfTargets NAMESPACE dchag:: DESTINATION ${dchag_package_folder})
  install(FILES "${PROJECT_SOURCE_DIR}/cmake/DchagNetcdf.cmake" DESTINATION ${dchag_package_folder})
endif()

configure_package_config_file(cmake/dchagConfig.cmake.in "${PROJECT_BINARY_DIR}/dchagConfig.cmake"
                              INSTALL_DESTINATION ${dchag_package_folder})
write_basic_package_version_file("${PROJECT_BINARY_DIR}/dchagConfigVersion.cmake" 
                                 COMPATIBILITY SameMinorVersion ARCH_INDEPENDENT)
install(FILES "${PROJECT_BINARY_DIR}/dchagConfig.cmake" "${PROJECT_BINARY_DIR}/dchagConfigVersion.cmake"
        DESTINATION ${dchag_package_folder})
