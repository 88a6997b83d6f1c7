"""A PEPG search that is compiled whole: sampling, networks, fitness and update without the GIL."""

from .search import fit

__all__ = ['fit']
