"""kill -9 of any process at random moments, 500 times: what is lost, left, half done, and how soon it goes on.

    python benchmarks/kills.py [--kills N] [--seed N] [--folder DIR]

A service and a worker on one data folder, four clients that upload (1 KB to 2 MB of text, PDF, DOCX), ask and delete
without a pause, and observers that verify every artifact, follow every state and search every byte of the folder for
what was deleted. Ends with status 1 if anything that must never happen did. The same harness as
tests/acceptance/test_random_kills.py.
"""

from __future__ import annotations

import argparse
import secrets
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from factories.kills import Stage
from factories.random_kills import kill_at_random, report


def main() -> None:
    options = argparse.ArgumentParser(description="kill -9 at random moments: what is lost, left and half done.")
    options.add_argument("--kills", type=int, default=500)
    options.add_argument("--seed", type=int, default=secrets.randbelow(1_000_000))
    options.add_argument(
        "--folder", type=Path, help="where the data folder lies; the disk decides how long a force takes"
    )
    given = options.parse_args()
    print(f"seed {given.seed}")
    with (
        tempfile.TemporaryDirectory(dir=given.folder) as folder,
        Stage(Path(folder) / "data", seed=given.seed) as stage,
    ):
        tally = kill_at_random(stage, n_kills=given.kills, seed=given.seed)
    print(report(tally, stage.history))
    for kind, words in stage.history.harms:
        print(f"{kind}: {words}")
    sys.exit(1 if stage.history.harms else 0)


if __name__ == "__main__":
    main()
