# The Python package's extension module, with the library inside it; scikit-build-core's part.
find_package(Python 3.10 REQUIRED COMPONENTS Interpreter Development.Module NumPy)

pepg_library(pepg STATIC)
target_include_directories(pepg INTERFACE csrc)

set(pyx ${CMAKE_CURRENT_SOURCE_DIR}/src/pepg_fast/kernels.pyx)
set(kernels_c ${CMAKE_CURRENT_BINARY_DIR}/kernels.c)
set(cython_flags -3 --fast-fail -X freethreading_compatible=True -X embedsignature=True)
if(NOT PEPG_DEVELOPER)
  list(APPEND cython_flags -X boundscheck=False -X wraparound=False -X initializedcheck=False -X cdivision=True)
endif()
set(pxd ${CMAKE_CURRENT_SOURCE_DIR}/src/pepg_fast/kernels.pxd)
set(forwarding ${CMAKE_CURRENT_BINARY_DIR}/forwarding.pxi)
add_custom_command(
  OUTPUT ${forwarding}
  COMMAND Python::Interpreter ${CMAKE_CURRENT_SOURCE_DIR}/csrc/forwarding.py ${pxd} ${forwarding}
  DEPENDS ${pxd} csrc/forwarding.py
  VERBATIM)
add_custom_command(
  OUTPUT ${kernels_c}
  COMMAND Python::Interpreter -m cython ${cython_flags} -I ${CMAKE_CURRENT_BINARY_DIR} ${pyx} -o ${kernels_c}
  DEPENDS ${pyx} ${pxd} ${forwarding} ${CMAKE_CURRENT_SOURCE_DIR}/src/pepg_fast/usual.pxi
  VERBATIM)

Python_add_library(kernels MODULE ${kernels_c} WITH_SOABI)
target_compile_definitions(kernels PRIVATE NPY_NO_DEPRECATED_API=NPY_1_7_API_VERSION)
target_compile_options(kernels PRIVATE -Werror=incompatible-pointer-types -Werror=int-conversion)
target_include_directories(kernels PRIVATE ${Python_NumPy_INCLUDE_DIRS})
target_link_libraries(kernels PRIVATE pepg)
if(PEPG_OPENMP_FOUND)
  target_link_libraries(kernels PRIVATE OpenMP::OpenMP_C)
endif()
install(TARGETS kernels DESTINATION pepg_fast)
install(FILES csrc/include/pepg_fast.h DESTINATION pepg_fast/include)

file(WRITE ${CMAKE_CURRENT_BINARY_DIR}/_build.py
     "\"\"\"How this copy was built; written by CMake.\"\"\"\n\n"
     "version = \"${SKBUILD_PROJECT_VERSION_FULL}\"\n"
     "compiler = \"${CMAKE_C_COMPILER_ID} ${CMAKE_C_COMPILER_VERSION}\"\n"
     "architecture = \"${CMAKE_SYSTEM_PROCESSOR}\"\n")
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/_build.py DESTINATION pepg_fast)
