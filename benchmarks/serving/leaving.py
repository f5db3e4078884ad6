"""How long the work for a client goes on after the client is gone: the table of every way to leave.

    python benchmarks/serving/leaving.py [--tries 20] [--megabytes 20]

The real service, its engines, a model server and its reader are watched from outside; tests/factories/departures.py
says how. ``a reader at work`` is a stopped process, which must be killed; the last rows are a summary of a text of so
many megabytes, where it counts when the reader last used CPU. Floor: 250 ms.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from benchmarks.long_files import make_text
from benchmarks.serving.open_loop import quantile

from factories.departures import CASES, Case, Stage, cpu_ns, idle_at, left

FLOOR_S = 0.25
AT_WORK_NS = 20_000_000
MOST_MEGABYTES = 14
"""Of one file; a summary reads all of them."""


def upload(stage: Stage, megabytes: int) -> list[str]:
    sizes = [min(MOST_MEGABYTES, megabytes - n) for n in range(0, megabytes, MOST_MEGABYTES)]
    ids = [stage.client.upload(f"{n}.txt", make_text(size * 1_000_000)) for n, size in enumerate(sizes)]
    for file_id in ids:
        assert stage.client.parsed(file_id, within_s=300)["status"] == "processed"
    return ids


def leave_summary(stage: Stage, case: Case, ids: list[str]) -> float:
    """Leave while a reader makes a summary."""
    stage.client.ask("Who was there?", ids[0])  # so the reader is there, and idle
    [reader] = stage.service.family.readers()
    spent_ns = cpu_ns(reader)
    connection = stage.ask(case, "qwen-long", "Summarize the documents.", ids)
    while cpu_ns(reader) < spent_ns + AT_WORK_NS:
        time.sleep(0.001)
    return max(0.0, left(connection, lambda: idle_at(reader)))


def row(case: Case, seconds: list[float]) -> str:
    manner = "streamed" if case.is_streamed else "whole"
    figures = "".join(
        f"{value * 1e3:9.1f}" for value in (statistics.median(seconds), quantile(seconds, 0.99), max(seconds))
    )
    verdict = "met" if max(seconds) <= FLOOR_S else "MISSED"
    return f"{case.waits_for:<22}{case.surface:<8}{manner:<10}{figures}   {verdict}"


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--tries", type=int, default=20)
    arguments.add_argument("--megabytes", type=int, default=20)
    options = arguments.parse_args()
    print(f"milliseconds from the client's close to the end of the work, {options.tries} tries")
    print(f"{'the answer waits for':<22}{'surface':<8}{'manner':<10}{'p50':>9}{'p99':>9}{'max':>9}")
    with tempfile.TemporaryDirectory() as folder, Stage(Path(folder)) as stage:
        for case in CASES:
            print(row(case, [stage.leave(case) for _ in range(options.tries)]), flush=True)
        ids = upload(stage, options.megabytes)
        begun = time.perf_counter()
        stage.client.ask("Summarize the documents.", *ids)
        print(f"a summary of {options.megabytes} MB takes {time.perf_counter() - begun:.2f} s when nobody leaves")
        for case in CASES:
            if case.waits_for == "a reader at work":
                named = case._replace(waits_for="a summary")
                print(row(named, [leave_summary(stage, case, ids) for _ in range(options.tries)]), flush=True)
    print(f"load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
