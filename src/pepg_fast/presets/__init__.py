"""Searches with the settings of other packages, under the names that those packages use.

>>> from pepg_fast import presets
>>> es = presets.evotorch(solution_length=10, popsize=200, objective_sense="min", center_init=0.0, radius_init=2.25,
...                       center_learning_rate=0.075, stdev_learning_rate=0.1)

Each function takes the arguments of its package, with the same defaults, and returns a `PEPG`. Further arguments go to
`PEPG` and override the converted settings (``rng``, ``n_threads``, ``ties``, ``l2_coeff``, ...). A setting that `PEPG`
cannot represent is refused with a ValueError that suggests an alternative. A search is float64 unless ``dtype`` says
otherwise; one by `pgpelib` is float32. Seeds are accepted, but the noise is this package's.

.. csv-table:: How settings are converted (P candidates)
   :delim: |
   :quote: ~
   :header: Setting | Packages | In `PEPG`

   learning rate of sigma | all but estool, ars and openai_es | ~``sigma_lr`` is twice as large, because the
   gradient here is half of theirs~
   learning rate of sigma | estool | ``sigma_lr``
   learning rate of sigma | ars, openai_es: sigma is constant | ``sigma_lr=0``
   largest change of sigma | all but ars and openai_es | ``sigma_max_change``
   limits of sigma | evotorch | ``sigma_min``, ``sigma_max``; even without a lower limit, sigma stays above 0
   weight decay | openai_es; none of the others has one of the same kind | ~``l2_coeff``, multiplied by sigma;
   otherwise 0~
   noise that is not multiplied by sigma | ars, openai_es | rates and epsilon are scaled to match
   Adam | pgpelib, openai_es; estool (``beta_1=0.99``, no division by P) | ~``Adam``; ``epsilon / P`` replaces the
   missing division~
   Adam | evotorch, evosax | ``Adam(eps_hat=False)``
   Adam with bias corrections that count the decays of its learning rate | evojax, fcmaes | ~``Adam`` and
   `DecayCountedRate`~
   ClipUp | ~pgpelib and evojax (``max_speed=0.15``), evotorch (twice the rate), evosax
   (``max_velocity``)~| ``ClipUp`` with an explicit ``max_speed``
   SGD with momentum | evotorch, evosax, openai_es | ``SGD``
   no optimizer | pgpelib, evotorch, evojax, ars | ``SGD(momentum=0)``
   geometric decay of the learning rate | evojax, estool | ``Decay``
   decay of sigma | estool | ``sigma_decay``, ``sigma_decay_limit``
   best directions, rewards divided by their deviation | ars | ``"top"``, ``top``
   centered ranks | all but ars | ~``"centered"``; equal rewards share their rank, while all but evosax order them
   arbitrarily~
   centered ranks divided by P instead of P - 1 | fcmaes | ~``"centered"``, with ``sigma_lr`` and Adam's epsilon to
   match~
   weight decay after the ranks, rewards without ranks | estool | ``fitness_shaping=EstoolShaping(...)``
   other shapings | evotorch, evosax | ``"nes"``, ``"raw"``, or a function of this module
   simulator steps per generation | pgpelib, openai_es; evotorch, which requires one more | ``num_interactions``
   odd P | evojax, fcmaes, openai_es | P + 1; the others refuse an odd P
   objective | ~pgpelib, evojax, estool, ars, openai_es maximize; evosax, fcmaes minimize; evotorch has an
   argument~| ``maximize``
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
    "DecayCountedRate", "EstoolShaping", "ars", "estool", "evojax", "evosax", "evotorch", "fcmaes", "openai_es",
    "pgpelib", "sample_normalized", "scaled_to_one", "standardized",
]  # fmt: skip
