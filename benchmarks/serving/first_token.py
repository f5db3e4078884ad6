"""What the service adds to the first token of fifty paced streams, of its own engine and of a model server.

    python -m benchmarks.serving.first_token [--quick]

Ten tokens a second each. A stream of the scripted engine begins at once: all of its time to the first token is added.
Through a model server, what the server itself takes when it is asked directly, just before, is taken off. Connections
are new.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import uvloop

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from benchmarks.serving import servers
from benchmarks.serving.loads import Target, watch_paced
from benchmarks.serving.measures import Row, print_machine, print_rows
from benchmarks.serving.open_loop import own_cpu, quantile

N_STREAMS = 50
OVER_S = 3.5


def first_ms(target: Target, model: str) -> list[float]:
    request = target.request(model, is_streamed=True, keeps_alive=False)
    paced = uvloop.run(watch_paced(target, request, n_streams=N_STREAMS, over_s=OVER_S))
    return [first_s * 1000 for first_s in paced.first_s]


def measure(upstream: Target, ours: Target, *, n_rounds: int) -> dict[str, list[list[float]]]:
    seen: dict[str, list[list[float]]] = {"direct": [], "through": [], "local": []}
    for round_number in range(n_rounds + 1):
        for name, target, model in (
            ("direct", upstream, "paced"),
            ("through", ours, "paced"),
            ("local", ours, "local-paced"),
        ):
            values = first_ms(target, model)
            if round_number:  # the first round warms up
                seen[name].append(values)
    return seen


def report(seen: dict[str, list[list[float]]]) -> None:
    print("\n| to the first token, ms | p50 | p90 | p99 |\n|---|---|---|---|")
    for name, rounds in seen.items():
        values = [value for one in rounds for value in one]
        cells = " | ".join(f"{quantile(values, share):.2f}" for share in (0.5, 0.9, 0.99))
        print(f"| {name} | {cells} |")
    medians = {name: [quantile(one, 0.5) for one in rounds] for name, rounds in seen.items()}
    added = [through - direct for through, direct in zip(medians["through"], medians["direct"], strict=True)]
    print_rows(
        [
            Row(what="added, own engine, p50", values=medians["local"], floor=2.0, unit="ms", is_ceiling=True),
            Row(what="added, model server, p50", values=added, floor=5.0, unit="ms", is_ceiling=True),
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one round instead of four")
    arguments = parser.parse_args()
    print_machine()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        upstream = stack.enter_context(servers.source())
        ours = stack.enter_context(servers.product(folder, upstream))
        with own_cpu() as cpu:
            seen = measure(upstream, ours, n_rounds=1 if arguments.quick else 4)
        report(seen)
        print(cpu.verdict)


if __name__ == "__main__":
    main()
