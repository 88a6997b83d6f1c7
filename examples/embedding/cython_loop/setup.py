"""The extension module; all else is in pyproject.toml."""

from Cython.Build import cythonize
from setuptools import Extension, setup

# No include path and no library: Cython finds pepg_fast/kernels.pxd where Python finds pepg_fast,
# and the functions are fetched when the module is imported.
search = Extension('cython_loop.search', ['src/cython_loop/search.pyx'])
setup(ext_modules=cythonize([search], build_dir='build'))
