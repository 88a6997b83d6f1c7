"""The search for networks of many weights: low-rank noise, and forward passes that make no candidate."""

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _checks, kernels, nn
from .optimizers import Adam, Optimizer
from .pepg import PEPG
from .search import options
from .search.low_rank import LowRankGeneration
from .search.options import Option

#: What a pair may have of factors and a search of parameters at most.
_MOST = 2**34


def _shapes_of(structure: Any) -> list[tuple[int, int]]:
    """Rows and columns of each tensor, as the kernels have them: a vector has 0 rows."""
    shapes = nn.shapes_of_weights(structure) if isinstance(structure, dict) else structure
    return [(0, shape[0]) if len(shape) == 1 else (shape[0], shape[1]) for shape in shapes]


def _structure(name: str, value: Any, size: int) -> Any:
    """Take a network, or what a file has of one, or a list of shapes."""
    if isinstance(value, nn.NeuralNetwork | nn.RecurrentNetwork):
        return nn.network_to_state(value)
    if isinstance(value, dict):
        try:
            nn.shapes_of_weights(value)  # which looks at all of it
        except KeyError as missing:
            raise ValueError(f"{name}: wanted a network's {missing}, got none") from None
        return dict(value)
    wanted = "a NeuralNetwork, a RecurrentNetwork, or a list of shapes (rows, columns) or (length,)"
    if not isinstance(value, list | tuple) or not value:
        raise TypeError(f"{name}: wanted {wanted}, got {_checks.shown(value)}")
    shapes = []
    for shape in value:
        if not isinstance(shape, list | tuple) or not 1 <= len(shape) <= 2:
            raise ValueError(f"{name}: wanted {wanted}, got {_checks.shown(shape)} in it")
        shapes.append([_checks.integer(name, each, at_least=1, at_most=_MOST) for each in shape])
    return shapes


def _one_number(infinite: bool) -> options.Check:
    return lambda name, value, size: _checks.number(name, value, positive=True, infinite=infinite)


def _none(name: str, value: Any, size: int) -> None:
    if value is not None:
        raise ValueError(f"{name}: wanted None with low-rank noise, got {_checks.shown(value)}")


@options.documented
class LowRankPEPG(PEPG):
    """PEPG for networks of many weights: each weight matrix has noise of low rank.

    A candidate is never in memory unless it is asked for. The noise of a pair is two thin factors for each matrix, and
    `forward` computes what all candidates make of their inputs as one product with the mean and a correction. The
    search is a `PEPG` otherwise; what differs is described here. Below, T is the number of tensors.

    Parameters
    ----------
    population_size : int
        P, an even number (any from 2 on if not `symmetric`).
    mu_init : float or array_like of shape (d,)
        Initial mean. A network of several layers wants a random one: from zeros, no layer has an effect.
    sigma_init : float or array_like of shape (T,)
        Initial sigma of all tensors, or of each.
    mu_lr, l2_coeff : float, array_like of shape (d,), or callable
        As of a `PEPG`.
    optimizer : subclass of Optimizer, or an instance
        As of a `PEPG`.
    optimizer_kwargs : dict, optional
        As of a `PEPG`.
    {options}

    Attributes
    ----------
    sigma : ndarray, shape (d,)
        Standard deviation of each parameter, read-only; one number, or one for each tensor, may be assigned.

    Raises
    ------
    TypeError, ValueError
        If an argument is not what is described here; the message says what was wanted and what came.

    Notes
    -----
    A matrix (rows, columns) of a pair has the noise ``sigma * A @ B.T / sqrt(rank)``, with standard normals in A
    (rows, rank) and B (columns, rank); a vector has independent normals. The entries have mean 0 and standard deviation
    sigma. They are uncorrelated but not independent, and their kurtosis is ``3 + 6 / rank``. The update is that of a
    `PEPG` whose epsilon is this noise::

        g_mu = sum(delta[i] * sigma * A[i] @ B[i].T for i in pairs) / (P * sqrt(rank))

    There is one sigma for each tensor and not for each weight: the product of a matrix of sigmas and a matrix of low
    rank, entry by entry, is of low rank no longer. Nor has sigma a gradient, which would need the noise of single
    weights. Sigma stays as it is, decays (`sigma_decay`), or follows a schedule of yours: assign it between two
    generations, for example in a callback of `run`.

    A `Simulation`, MPI and Ray evaluate candidates, which `iter_parameters` and `get_members` make some at a time::

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
        "The network whose weights are searched for, or the shapes of the tensors that the parameters consist of, one "
        "after the other: matrices (rows, columns) in C order, and vectors (length,). The attribute is the network's "
        "sizes, biases and activations as a dict, or the list.",
        _structure, is_shown=False)
    rank = Option[int]("int", 1,
        "Rank of the noise of each matrix.",
        lambda name, value, size: _checks.integer(name, value, at_least=1, at_most=2**20))
    sigma_max_change = Option[Any]("None", None, "Sigma has no gradient here.", _none, part="_sigma", is_shown=False)
    sigma_min = Option[Any]("float", 1e-20, "Lower limit of sigma.", _one_number(False), part="_sigma")
    sigma_max = Option[Any]("float", float("inf"), "Upper limit of sigma.", _one_number(True), part="_sigma")
    lower = Option[Any]("None", None, "There is no box here: candidates are not made.", _none, part="_generation")
    upper = Option[Any]("None", None, "The same.", _none, part="_generation")
    # fmt: on

    _generation: LowRankGeneration

    def __init__(
        self,
        population_size: int,
        mu_init: ArrayLike,
        sigma_init: ArrayLike,
        mu_lr: Any,
        l2_coeff: Any = 0.005,
        optimizer: type[Optimizer] | Optimizer = Adam,
        optimizer_kwargs: dict[str, Any] | None = None,
        **further: Any,
    ) -> None:
        further["structure"] = _structure("structure", further.get("structure"), 0)
        counts = [max(rows, 1) * columns for rows, columns in _shapes_of(further["structure"])]
        if sigma_init is None or further.get("radius_init") is not None:
            raise ValueError("sigma_init: wanted numbers, and no radius_init, with low-rank noise")
        super().__init__(
            population_size, _checks.integer("structure", sum(counts), at_least=1, at_most=_MOST),
            mu_init, _of_each("sigma_init", sigma_init, counts), mu_lr, 0.0, l2_coeff, optimizer,
            optimizer_kwargs, **further,
        )  # fmt: skip

    @property
    def _drawn_as(self) -> Any:
        """What makes its generation."""
        return partial(LowRankGeneration, shapes=_shapes_of(self.structure), rank=self.rank)

    @property
    def sigma(self) -> NDArray[Any]:
        """Standard deviation of each parameter, read-only; assign one number, or one for each tensor."""
        sigma = self._sigma.values.view()
        sigma.flags.writeable = False
        return sigma

    @sigma.setter
    def sigma(self, value: ArrayLike) -> None:
        sigma = self._sigma.within("sigma", _of_each("sigma", value, self._generation.counts))
        with self._generation.turn:
            _checks.assign("sigma", self._sigma.values, sigma)

    def forward(
        self,
        inputs: ArrayLike,
        *,
        members: ArrayLike | None = None,
    ) -> NDArray[Any]:
        """Compute the outputs of the population that waits for its rewards; a new one is drawn if none waits.

        Parameters
        ----------
        inputs : array_like of float, shape (P, in) or (P, B, in)
            One input, or a batch of B, for each candidate. The shape (1, B, in) stands for one batch for all.
        members : array_like of int, shape (m,), optional
            Indices of the candidates that the inputs are for, of which there are m then.

        Returns
        -------
        ndarray, shape (P, out) or (P, B, out), or m instead of P
            Row i equals, to rounding, the output of a network with the weights ``get_parameters()[i]``. It has the same
            bits at any number of threads, and for a candidate alone.

        Raises
        ------
        RuntimeError
            If the search was made of shapes, or for a recurrent network (whose candidates `get_parameters` makes), or
            for one with activations that are not of this package.
        TypeError, ValueError
            If a shape is wrong, a value is not a number, or there is no such member.
        """
        network = self._perceptron()
        x = _checks.numbers("inputs", inputs)
        which = None if members is None else _indices(members, self.population_size)
        n, size = self.population_size if which is None else len(which), network.n_inputs
        if (
            x.ndim not in (2, 3)
            or x.shape[-1] != size
            or (len(x) != n and x.shape[::2] != (1, size))
        ):
            raise ValueError(
                f"inputs: wanted shape ({n}, {size}), ({n}, B, {size}) or (1, B, {size}), got {x.shape}"
            )
        x = _checks.plain(x, self.dtype)
        if not x.size or not n:
            return np.empty((n, *x.shape[1:-1], network.n_outputs), self.dtype)
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
                "forward: wanted a search for a NeuralNetwork with activations of this package"
            )
        return kernels.Perceptron(structure["sizes"], structure["bias"], *codes)


def _of_each(name: str, value: Any, counts: Any) -> Any:
    """One number as it is; numbers for the tensors repeated for each of their parameters."""
    given = _checks.numbers(name, value)
    if given.ndim == 0:
        return float(given)
    return np.repeat(_checks.vector(name, given, len(counts), np.dtype(float)), counts)


def _indices(members: ArrayLike, size: int) -> NDArray[np.intp]:
    which = np.asarray(members)
    if which.ndim != 1 or which.dtype.kind not in "iu":
        raise TypeError(f"members: wanted whole numbers, shape (m,), got {_checks.shown(members)}")
    if which.size and not (which.min() >= 0 and which.max() < size):
        raise ValueError(
            f"members: wanted indices from 0 to {size - 1}, got {which.min()} to {which.max()}"
        )
    return np.ascontiguousarray(which, dtype=np.intp)
