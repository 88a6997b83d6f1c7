"""A driver that test_ray.py starts; it dies in step 2, after the rewards have arrived and before the update."""

import os
import signal
import sys

import ray
from distributed_searches import a_search, fitness_of

from pepg_fast import Checkpoints
from pepg_fast.distributed import RayRunner, each

if __name__ == "__main__":
    ray.init(address=sys.argv[2], log_to_driver=False)
    runner = RayRunner(1)
    es = a_search("plain")

    def tell(*arguments):
        if es.step == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        RayRunner._tell(runner, *arguments)

    runner._tell = tell
    runner.run(
        es, each(fitness_of), max_steps=6, callbacks=Checkpoints(sys.argv[1], every=1, keep=9)
    )
