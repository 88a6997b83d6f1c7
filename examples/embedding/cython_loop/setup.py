"""The extension module; everything else is in pyproject.toml."""

from Cython.Build import cythonize
from setuptools import Extension, setup

import pepg_fast

# There is no library to link: Cython finds pepg_fast/kernels.pxd where Python finds pepg_fast, the C compiler finds
# the structs in pepg_fast.h, and the functions are fetched when the module is imported.
search = Extension('cython_loop.search', ['src/cython_loop/search.pyx'],
                   include_dirs=[pepg_fast.get_include()])
setup(ext_modules=cythonize([search], build_dir='build'))
