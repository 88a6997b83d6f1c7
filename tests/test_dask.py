"""`PEPG.run` with Dask's own executor."""

import distributed_searches
import numpy as np
import pytest
from searches import assert_same

from pepg_fast import EvaluationError

dask = pytest.importorskip("distributed")
pytestmark = pytest.mark.filterwarnings("ignore")  # Dask's own warnings


@pytest.fixture(scope="module")
def executor():
    with (
        dask.LocalCluster(n_workers=2, processes=False, dashboard_address=None) as cluster,
        dask.Client(cluster) as client,
        client.get_executor() as executor,
    ):
        yield executor


def test_a_run_has_the_bits_of_one_process(executor):
    es = distributed_searches.a_search("plain")
    es.run(distributed_searches.fitness_of, max_steps=3, executor=executor)
    assert_same(es, distributed_searches.by_itself("plain", 3))


def test_an_exception_names_its_candidate(executor):
    es = distributed_searches.a_search("plain")
    broken = distributed_searches.a_search("plain").get_parameters()[3].copy()

    def raises(theta):
        if np.array_equal(theta, broken):
            raise ValueError("the simulator is out of order")
        return 0.0

    with pytest.raises(EvaluationError, match="candidate 3 raised ValueError"):
        es.run(raises, max_steps=1, executor=executor)
    assert es.is_pending
