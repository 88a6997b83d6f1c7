# The Python package's extension module, with the library inside it; scikit-build-core's part.
find_package(Python 3.11 REQUIRED COMPONENTS Interpreter Development.Module NumPy)

pepg_library(pepg STATIC)
target_include_directories(pepg INTERFACE csrc)

set(pyx ${CMAKE_CURRENT_SOURCE_DIR}/src/pepg_fast/kernels.pyx)
set(kernels_c ${CMAKE_CURRENT_BINARY_DIR}/kernels.c)
set(cython_flags -3 --fast-fail -X embedsignature=True)
if(NOT PEPG_DEVELOPER)
  list(APPEND cython_flags -X boundscheck=False -X wraparound=False -X initializedcheck=False -X cdivision=True)
endif()
set(pxd ${CMAKE_CURRENT_BINARY_DIR}/pepg_fast/kernels.pxd)
file(MAKE_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR}/pepg_fast)
set(forwarding ${CMAKE_CURRENT_BINARY_DIR}/forwarding.pxi)
set(exported base.h sampling.h update.h networks.h low_rank.h simulation.h)
list(TRANSFORM exported PREPEND ${CMAKE_CURRENT_SOURCE_DIR}/csrc/include/pepg_fast/)
set(forwarded include/pepg_fast/search.h digest.h finite.h row.h search_run.h split.h)
list(TRANSFORM forwarded PREPEND ${CMAKE_CURRENT_SOURCE_DIR}/csrc/)
file(GLOB included CONFIGURE_DEPENDS src/pepg_fast/*.pxi)
add_custom_command(
  OUTPUT ${pxd} ${forwarding}
  COMMAND Python::Interpreter ${CMAKE_CURRENT_SOURCE_DIR}/csrc/forwarding.py ${pxd} ${forwarding} ${exported} --
          ${forwarded}
  DEPENDS ${exported} ${forwarded} csrc/forwarding.py
  VERBATIM)
add_custom_command(
  OUTPUT ${kernels_c}
  COMMAND Python::Interpreter -m cython ${cython_flags} -I ${CMAKE_CURRENT_BINARY_DIR} ${pyx} -o ${kernels_c}
  DEPENDS ${pyx} ${pxd} ${forwarding} ${included}
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
install(FILES ${pxd} DESTINATION pepg_fast)
install(DIRECTORY csrc/include DESTINATION pepg_fast)

file(WRITE ${CMAKE_CURRENT_BINARY_DIR}/_build.py
     "\"\"\"How this copy was built; written by CMake.\"\"\"\n\n"
     "version = \"${SKBUILD_PROJECT_VERSION_FULL}\"\n"
     "compiler = \"${CMAKE_C_COMPILER_ID} ${CMAKE_C_COMPILER_VERSION}\"\n"
     "architecture = \"${CMAKE_SYSTEM_PROCESSOR}\"\n")
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/_build.py DESTINATION pepg_fast)

# Each former path of a module is a file that stands for it: what imports, pickles and type checkers find there is the
# module itself.
set(former_paths ${CMAKE_CURRENT_SOURCE_DIR}/cmake/former_paths.txt)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${former_paths})
file(STRINGS ${former_paths} moves REGEX "^[a-z]")
file(REMOVE_RECURSE ${CMAKE_CURRENT_BINARY_DIR}/former)
foreach(move ${moves})
  string(REGEX MATCH "^([a-z_.]+) ([a-z_.]+)\\.([a-z_]+)$" ignored "${move}")
  string(REPLACE "." "/" former "${CMAKE_MATCH_1}")
  file(WRITE ${CMAKE_CURRENT_BINARY_DIR}/former/${former}.py
       "\"\"\"The former path of `pepg_fast.${CMAKE_MATCH_2}.${CMAKE_MATCH_3}`; written by CMake.\"\"\"\n\n"
       "import sys\n\n"
       "from pepg_fast.${CMAKE_MATCH_2} import ${CMAKE_MATCH_3}\n\n"
       "sys.modules[__name__] = ${CMAKE_MATCH_3}\n")
  file(WRITE ${CMAKE_CURRENT_BINARY_DIR}/former/${former}.pyi
       "from pepg_fast.${CMAKE_MATCH_2}.${CMAKE_MATCH_3} import *\n")
endforeach()
if(moves)
  install(DIRECTORY ${CMAKE_CURRENT_BINARY_DIR}/former/ DESTINATION pepg_fast)
endif()
