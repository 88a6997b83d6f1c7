"""Search for large networks: low-rank noise, and forward passes without the candidates' weights."""

from functools import partial
from typing import Any, Unpack

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _checks, kernels, nn
from ._types import Array
from .optimizers import Adam, Optimizer
from .pepg import PEPG
from .search import options
from .search.keywords import SearchKeywords
from .search.low_rank import LowRankGeneration
from .search.options import Option

#: Upper limit of the factors of a pair and of the parameters of a search.
_MOST = 2**34


def _shapes_of(structure: Any) -> list[tuple[int, int]]:
    """Return rows and columns of each tensor for the kernels, where a vector has 0 rows."""
    shapes = nn.shapes_of_weights(structure) if isinstance(structure, dict) else structure
    return [(0, shape[0]) if len(shape) == 1 else (shape[0], shape[1]) for shape in shapes]


def _structure(name: str, value: Any, size: int) -> Any:
    """Check a network, the state of a network from a file, or a list of shapes."""
    if isinstance(value, nn.NeuralNetwork | nn.RecurrentNetwork):
        return nn.network_to_state(value)
    if isinstance(value, dict):
        try:
            return nn.checked_state(value)
        except KeyError as missing:
            raise ValueError(f"{name}: wanted a network with {missing}, got one without") from None
    wanted = "a NeuralNetwork, a RecurrentNetwork, or a list of shapes (rows, columns) or (length,)"
    if not isinstance(value, list | tuple) or not value:
        raise TypeError(f"{name}: wanted {wanted}, got {_checks.shown(value)}")
    shapes = []
    for shape in value:
        if not isinstance(shape, list | tuple) or not 1 <= len(shape) <= 2:
            raise ValueError(f"{name}: wanted {wanted}, got {_checks.shown(shape)} in it")
        shapes.append([_checks.integer(name, each, at_least=1, at_most=_MOST) for each in shape])
    return shapes


def _none(name: str, value: Any, size: int) -> None:
    if value is not None:
        raise ValueError(f"{name}: wanted None with low-rank noise, got {_checks.shown(value)}")


class LowRankKeywords(SearchKeywords, total=False):
    """Keywords of `LowRankPEPG` after `optimizer_kwargs`, for type checkers and editors."""

    structure: Any
    rank: int


@options.documented
class LowRankPEPG(PEPG):
    """PEPG for large networks: the noise of each weight matrix has low rank.

    The weights of a candidate are computed only on request. The noise of a pair is two thin factors for each matrix,
    and `forward` computes the outputs of all candidates from one product with the mean and a low-rank correction.
    Otherwise the search is a `PEPG`; this page describes the differences. Below, T is the number of tensors.

    Parameters
    ----------
    population_size : int
        P, an even number (any number of at least 2 if not `symmetric`).
    mu_init : float or array_like of shape (d,)
        Initial mean. A network with several layers needs a random one: if all weights are 0, no layer has an effect.
    sigma_init : float or array_like of shape (T,)
        Initial sigma, one number for all tensors or one for each.
    mu_lr, l2_coeff : float, array_like of shape (d,), or callable
        As in `PEPG`.
    optimizer : subclass of Optimizer, or an instance
        As in `PEPG`.
    optimizer_kwargs : dict, optional
        As in `PEPG`.
    {options}

    Attributes
    ----------
    sigma : ndarray, shape (d,)
        Standard deviation of each parameter, read-only; one number, or one for each tensor, may be assigned.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described here; the message says what was wanted and what was given.

    Notes
    -----
    The noise of a matrix (rows, columns) in a pair is ``sigma * A @ B.T / sqrt(rank)``, with standard normals in A
    (rows, rank) and B (columns, rank); the noise of a vector is independent normals. The entries have mean 0 and
    standard deviation sigma. They are uncorrelated but not independent, and their kurtosis is ``3 + 6 / rank``. The
    update is that of a `PEPG` whose epsilon is this noise::

        g_mu = sum(delta[i] * sigma * A[i] @ B[i].T for i in pairs) / (P * sqrt(rank))

    There is one sigma for each tensor instead of one for each weight, because the entrywise product of a matrix of
    sigmas and a low-rank matrix does not have low rank. Sigma also has no gradient, which would need the noise of the
    individual weights. It stays constant, decays (`sigma_decay`), or follows your own schedule: assign it between two
    generations, for example in a callback of `run`.

    A `Simulation`, MPI and Ray need the candidates' weights, which `iter_parameters` and `get_members` compute for a
    few candidates at a time::

        for members, candidates in es.iter_parameters(16):
            returns[members] = simulation.evaluate(network, candidates)

    References
    ----------
    Sarkar et al. 2025, "Evolution strategies at the hyperscale" (EGGROLL, arXiv 2511.16652).

    Examples
    --------
    >>> import numpy as np
    >>> from pepg_fast import LowRankPEPG, NeuralNetwork
    >>> network = NeuralNetwork(4, 2, (32, 32), "tanh")
    >>> start = 0.1 * np.random.default_rng(0).standard_normal(network.number_of_parameters)
    >>> es = LowRankPEPG(64, start, 0.05, mu_lr=0.02, structure=network, rank=1, rng=0)
    >>> outputs = es.forward(np.ones((64, 4)))
    >>> es.update(-np.square(outputs - 1.0).sum(axis=1))
    """

    # fmt: off
    structure = Option[Any]("NeuralNetwork, RecurrentNetwork, or list of tuple of int", None,
        "The network whose weights are searched for, or a list of the shapes of the consecutive tensors that make up "
        "the parameters: matrices (rows, columns) in C order, and vectors (length,). The attribute is a dict of the "
        "network's sizes, biases and activations, or the list.",
        _structure, is_shown=False)
    rank = Option[int]("int", 1,
        "Rank of the noise of each weight matrix.",
        options.by(_checks.integer, at_least=1, at_most=2**20))
    sigma_max_change = Option[Any]("None", None, "Sigma has no gradient here.", _none, part="_sigma", is_shown=False)
    sigma_min = Option[Any]("float", 1e-20, "Lower limit of sigma.", options.number(positive=True), part="_sigma")
    sigma_max = Option[Any]("float", float("inf"), "Upper limit of sigma.",
        options.number(positive=True, infinite=True), part="_sigma")
    lower = Option[Any]("None", None, "Not supported with low-rank noise.", _none, part="_generation")
    upper = Option[Any]("None", None, "Not supported with low-rank noise.", _none, part="_generation")
    # fmt: on

    _generation: LowRankGeneration

    def __init__(
        self,
        population_size: int,
        mu_init: "ArrayLike",
        sigma_init: "ArrayLike",
        mu_lr: Any,
        l2_coeff: Any = 0.005,
        optimizer: type[Optimizer] | Optimizer = Adam,
        optimizer_kwargs: dict[str, Any] | None = None,
        **further: Unpack[LowRankKeywords],
    ) -> None:
        further["structure"] = _structure("structure", further.get("structure"), 0)
        counts = [max(rows, 1) * columns for rows, columns in _shapes_of(further["structure"])]
        if sigma_init is None or further.get("radius_init") is not None:
            raise ValueError(
                "sigma_init: wanted numbers with low-rank noise, got radius_init or None"
            )
        more: Any = further  # with options of this class only
        super().__init__(
            population_size, _checks.integer("structure", sum(counts), at_least=1, at_most=_MOST),
            mu_init, _of_each("sigma_init", sigma_init, counts), mu_lr, 0.0, l2_coeff, optimizer,
            optimizer_kwargs, **more,
        )  # fmt: skip

    @property
    def _drawn_as(self) -> Any:
        """The class of its generation, with its arguments."""
        return partial(LowRankGeneration, shapes=_shapes_of(self.structure), rank=self.rank)

    @property
    def sigma(self) -> Array:
        """Standard deviation of each parameter, read-only; assign one number, or one for each tensor."""
        sigma = self._sigma.values.view()
        sigma.flags.writeable = False
        return sigma

    @sigma.setter
    def sigma(self, value: "ArrayLike") -> None:
        sigma = self._sigma.within("sigma", _of_each("sigma", value, self._generation.counts))
        with self._generation.turn:
            _checks.assign("sigma", self._sigma.values, sigma)

    def forward(self, inputs: "ArrayLike", *, members: "ArrayLike | None" = None) -> Array:
        """Compute the outputs of the population that awaits its rewards; if there is none, draw a new one.

        Parameters
        ----------
        inputs : array_like of float, shape (P, in) or (P, B, in)
            One input, or a batch of B inputs, for each candidate. The shape (1, B, in) is one batch for all candidates.
            An infinite input gives NaN, because its products with the mean and with the noise may cancel.
        members : array_like of int, shape (m,), optional
            Indices of the m candidates to which the inputs belong; by default all P.

        Returns
        -------
        ndarray, shape (P, out) or (P, B, out), with m instead of P if `members` is given
            Row i equals, to rounding, the output of a network with the weights of candidate i, which is ``theta[i]``
            (`get_parameters` would draw new candidates). It ignores changes made to `theta` in place. The bits do not
            depend on the number of threads or on the other candidates.

        Raises
        ------
        RuntimeError
            If the search was made from shapes, for a recurrent network (use `get_parameters` instead), or for a network
            whose activations are not from this package.
        TypeError, ValueError
            If a shape is wrong, a value is not a number, or an index in `members` is out of range.
        """
        network = self._perceptron()
        x = _checks.numbers("inputs", inputs)
        which = None if members is None else _indices(members, self.population_size)
        n, size = self.population_size if which is None else len(which), network.n_inputs
        is_for_all = x.shape[::2] == (1, size)
        if x.ndim not in (2, 3) or x.shape[-1] != size or not (len(x) == n or is_for_all):
            raise ValueError(
                f"inputs: wanted shape ({n}, {size}), ({n}, B, {size}) or (1, B, {size}), got {x.shape}"
            )
        x = _checks.plain(x, self.dtype)
        if not x.size or not n:
            return np.empty((n, *x.shape[1:-1], network.n_outputs), self.dtype)
        if len(x) != n:
            x = np.broadcast_to(x, (n, *x.shape[1:]))
        generation = self._generation
        with generation.turn:
            if not generation.is_pending:
                generation.make_none(self._mu, self._sigma.values)
            return generation.forward(network, which, x, self.n_threads)

    def _perceptron(self) -> kernels.Perceptron:
        structure, codes = self.structure, []
        if isinstance(structure, dict) and "cell" not in structure:
            has_hidden = len(structure["sizes"]) > 2
            names = (
                structure["hidden_activation"] if has_hidden else "identity",
                structure["output_activation"],
            )
            known = ("tanh" if name == "numpy.tanh" else name for name in names)
            codes = [kernels.ACTIVATIONS[name] for name in known if name in kernels.ACTIVATIONS]
        if len(codes) != 2:
            raise RuntimeError(
                "forward: wanted a search whose structure is a NeuralNetwork with activations of this package"
            )
        return kernels.Perceptron(structure["sizes"], structure["bias"], *codes)


def _of_each(name: str, value: Any, counts: Any) -> Any:
    """Return one number unchanged; repeat numbers for tensors for each of their parameters."""
    given = _checks.numbers(name, value)
    if given.ndim == 0:
        return float(given)
    return np.repeat(_checks.vector(name, given, len(counts), np.dtype(float)), counts)


def _indices(members: "ArrayLike", size: int) -> NDArray[np.intp]:
    which = np.asarray(members)
    if which.ndim != 1 or (which.size and which.dtype.kind not in "iu"):
        raise TypeError(f"members: wanted whole numbers, shape (m,), got {_checks.shown(members)}")
    if which.size and not (which.min() >= 0 and which.max() < size):
        raise ValueError(
            f"members: wanted indices from 0 to {size - 1}, got {which.min()} to {which.max()}"
        )
    return np.ascontiguousarray(which, dtype=np.intp)
