"""Kill processes with SIGKILL during `save_checkpoint`; print the results as JSON.

python kill_saves.py FOLDER KILLS SEED
"""

import json
import os
import random
import re
import signal
import sys
import time
from pathlib import Path

from pepg_fast import PEPG

SIZES = (40, 4000, 60_000)


def search(size: int) -> PEPG:
    es = PEPG(4, size, 0.0, 1.0, 0.1, 0.1, rng=1)
    es.update(es.get_parameters()[:, 0])
    return es


def save_for_ever(file: Path, searches: list[PEPG]) -> None:
    while True:
        for es in searches:
            es.step += 1
            es.save_checkpoint(file)


def temporary(folder: Path) -> list[str]:
    pattern = re.compile(r"\.search\.npz\.[0-9a-f]{12}\.pepg_fast\.tmp")
    return [name for name in os.listdir(folder) if pattern.fullmatch(name)]


def main() -> None:
    folder, kills, rng = Path(sys.argv[1]), int(sys.argv[2]), random.Random(int(sys.argv[3]))
    file = folder / "search.npz"
    searches = [search(size) for size in SIZES]
    searches[0].save_checkpoint(file)
    found = {"kills": 0, "whole": 0, "changed": 0, "temporary": 0}
    for _ in range(kills):
        before = file.stat().st_ino
        child = os.fork()
        if child == 0:
            save_for_ever(file, searches)
        time.sleep(rng.uniform(0.0, 0.02))
        os.kill(child, signal.SIGKILL)
        status = os.waitpid(child, 0)[1]
        found["kills"] += os.WTERMSIG(status) == signal.SIGKILL
        loaded = PEPG.load_checkpoint(file)
        found["whole"] += loaded.theta_size in SIZES and len(loaded.mu) == loaded.theta_size
        found["changed"] += file.stat().st_ino != before
        for name in temporary(folder):
            (folder / name).unlink()
            found["temporary"] += 1
    searches[0].save_checkpoint(file)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
