# The C library by itself: static and shared, header, CMake package, pkg-config file. No Python is asked for.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

file(STRINGS csrc/include/pepg_fast/base.h abi REGEX "^#define PEPG_FAST_ABI_VERSION ")
string(REGEX MATCH "[0-9]+$" abi "${abi}")

# Two targets, one name of file: libpepg_fast.a and libpepg_fast.so.
pepg_library(pepg_fast SHARED)
pepg_library(pepg_fast_static STATIC)
target_compile_definitions(pepg_fast PRIVATE PEPG_FAST_BUILDS_SHARED INTERFACE PEPG_FAST_USES_SHARED)
set_target_properties(pepg_fast PROPERTIES VERSION ${PROJECT_VERSION} SOVERSION ${abi})
if(NOT WIN32)
  set_target_properties(pepg_fast_static PROPERTIES OUTPUT_NAME pepg_fast)
endif()
# Its threads are kept for good, so its code has to be, also where a program closes the library.
if(UNIX AND NOT APPLE)
  target_link_options(pepg_fast PRIVATE LINKER:-z,nodelete)
endif()
add_library(pepg_fast::pepg_fast ALIAS pepg_fast)
add_library(pepg_fast::pepg_fast_static ALIAS pepg_fast_static)

install(TARGETS pepg_fast pepg_fast_static EXPORT pepg_fastTargets
        INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(DIRECTORY csrc/include/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})

set(package ${CMAKE_INSTALL_LIBDIR}/cmake/pepg_fast)
install(EXPORT pepg_fastTargets NAMESPACE pepg_fast:: DESTINATION ${package})
configure_package_config_file(cmake/pepg_fastConfig.cmake.in pepg_fastConfig.cmake INSTALL_DESTINATION ${package})
write_basic_package_version_file(pepg_fastConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/pepg_fastConfig.cmake ${CMAKE_CURRENT_BINARY_DIR}/pepg_fastConfigVersion.cmake
        DESTINATION ${package})

# For programs that link libpepg_fast.a by pkg-config --static.
set(private_libs)
if(UNIX)
  set(private_libs "-lm")
endif()
if(PEPG_OPENMP_FOUND)
  set(private_libs "${OpenMP_C_FLAGS} ${private_libs}")
endif()
set(description "PEPG evolution strategies in C kernels")
file(RELATIVE_PATH relative_prefix "/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/")
configure_file(cmake/pepg_fast.pc.in pepg_fast.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/pepg_fast.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
