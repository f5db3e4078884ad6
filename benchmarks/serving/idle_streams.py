"""What a thousand streams cost in memory that have begun and say nothing, of the own engine and of a model server.

    python -m benchmarks.serving.idle_streams [--quick]

The resident memory of the serving process before and while they are open. Before that, a tenth as many are opened and
closed, so that what is loaded with the first stream is there.
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import uvloop

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from benchmarks.serving import servers
from benchmarks.serving.loads import Target, open_stream
from benchmarks.serving.measures import Row, print_machine, print_rows, resident_bytes

SETTLE_S = 1.0
AT_ONCE = 50
MIB = 1 << 20


async def mib_per_thousand(target: Target, model: str, *, n_streams: int) -> float:
    await _opened(target, model, n_streams=n_streams // 10)
    before = resident_bytes(target.pid)
    grown = await _opened(target, model, n_streams=n_streams) - before
    return grown / MIB * 1000 / n_streams


async def _opened(target: Target, model: str, *, n_streams: int) -> int:
    """Open streams, and return the resident memory while all of them are open."""
    request = target.request(model, is_streamed=True, keeps_alive=False)
    streams = []
    for _ in range(0, n_streams, AT_ONCE):
        opened = await asyncio.gather(*(open_stream(target, request) for _ in range(AT_ONCE)))
        await asyncio.gather(*(stream.begun for stream in opened))
        streams += opened
    await asyncio.sleep(SETTLE_S)
    resident = resident_bytes(target.pid)
    for stream in streams:
        assert stream.transport is not None
        stream.transport.abort()
    await asyncio.sleep(SETTLE_S)
    return resident


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one round instead of three")
    arguments = parser.parse_args()
    print_machine()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    seen: dict[str, list[float]] = {"local-silent": [], "silent": []}
    for _ in range(1 if arguments.quick else 3):
        for model, values in seen.items():  # a service of its own for each: memory that was grown is not given back
            with ExitStack() as stack:
                folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
                upstream = stack.enter_context(servers.source())
                ours = stack.enter_context(servers.product(folder, upstream))
                values.append(uvloop.run(mib_per_thousand(ours, model, n_streams=1000)))
    names = {"local-silent": "1,000 idle streams, own engine", "silent": "1,000 idle streams, model server"}
    print_rows(
        [
            Row(what=names[model], values=values, floor=30.0, unit="MiB", is_ceiling=True)
            for model, values in seen.items()
        ]
    )


if __name__ == "__main__":
    main()
