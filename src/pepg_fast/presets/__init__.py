"""Searches with the settings of other packages, in those packages' own words.

>>> from pepg_fast import presets
>>> es = presets.evotorch(solution_length=10, popsize=200, objective_sense="min", center_init=0.0, radius_init=2.25,
...                       center_learning_rate=0.075, stdev_learning_rate=0.1)

Each function takes the arguments and defaults of its package and returns a `PEPG`. Whatever else it is given goes to
`PEPG`, and wins over what was converted (``rng``, ``n_threads``, ``ties``, ``l2_coeff``, ...). What `PEPG` cannot do is
refused with a ValueError that says what can be done instead. Without `PEPG`'s own ``dtype`` a search is float64, and
that of `pgpelib`, which has the argument itself, float32. Seeds are taken, but the noise is this package's.

.. list-table:: What becomes of the settings (P candidates)
   :header-rows: 1

   * - Setting
     - Packages
     - In `PEPG`
   * - learning rate of sigma
     - all but estool, ars and openai_es
     - ``sigma_lr`` is twice that, since its gradient is half of theirs
   * - learning rate of sigma
     - estool
     - ``sigma_lr``
   * - learning rate of sigma
     - ars, openai_es: sigma stays
     - ``sigma_lr=0``
   * - largest change of sigma
     - all but ars and openai_es
     - ``sigma_max_change``
   * - limits of sigma
     - evotorch
     - ``sigma_min``, ``sigma_max``; without a lower one sigma stays above 0 all the same
   * - weight decay
     - openai_es; none else that is the same
     - ``l2_coeff``, sigma times as large; 0
   * - noise that is not multiplied by sigma
     - ars, openai_es
     - rates and epsilon are scaled to match
   * - Adam
     - pgpelib, openai_es; estool (``beta_1=0.99``, no division by P)
     - ``Adam``; ``epsilon / P`` is the missing division
   * - Adam
     - evotorch, evosax
     - ``Adam(eps_hat=False)``
   * - Adam, whose bias corrections count the decays of its rate
     - evojax, fcmaes
     - ``Adam`` and `DecayCountedRate`
   * - ClipUp
     - pgpelib and evojax (``max_speed=0.15``), evotorch (twice the rate), evosax (``max_velocity``)
     - ``ClipUp``, with the speed said
   * - SGD with momentum
     - evotorch, evosax, openai_es
     - ``SGD``
   * - no optimizer
     - pgpelib, evotorch, evojax, ars
     - ``SGD(momentum=0)``
   * - geometric decay of the rate
     - evojax, estool
     - ``Decay``
   * - decay of sigma
     - estool
     - ``sigma_decay``, ``sigma_decay_limit``
   * - best directions, rewards divided by their deviation
     - ars
     - ``"top"``, ``top``
   * - centered ranks
     - all but ars
     - ``"centered"``; equal rewards share their rank, where all but evosax order them by accident
   * - centered ranks divided by P in place of P - 1
     - fcmaes
     - ``"centered"``, with ``sigma_lr`` and Adam's epsilon to match
   * - weight decay after the ranks, rewards without ranks
     - estool
     - ``fitness_shaping=EstoolShaping(...)``
   * - other shapings
     - evotorch, evosax
     - ``"nes"``, ``"raw"``, or a function of this module
   * - simulator steps of a generation
     - pgpelib, openai_es; evotorch, which wants one more
     - ``num_interactions``
   * - odd P
     - evojax, fcmaes, openai_es
     - P + 1; the others refuse it
   * - objective
     - pgpelib, evojax, estool, ars, openai_es: highest; evosax, fcmaes: lowest; evotorch: as said
     - ``maximize``
"""

from ._ars import ars
from ._estool import EstoolShaping, estool
from ._evojax import evojax
from ._evosax import evosax, scaled_to_one, standardized
from ._evotorch import evotorch, sample_normalized
from ._fcmaes import fcmaes
from ._openai_es import openai_es
from ._pgpelib import pgpelib
from .decay_counted import DecayCountedRate

__all__ = [
    "DecayCountedRate",
    "EstoolShaping",
    "ars",
    "estool",
    "evojax",
    "evosax",
    "evotorch",
    "fcmaes",
    "openai_es",
    "pgpelib",
    "sample_normalized",
    "scaled_to_one",
    "standardized",
]
