"""CPU of a request and of a streamed piece through the product and through LiteLLM's proxy, over the same model server.

    python -m benchmarks.serving.gateways [--quick]

Which features are on is written in ``servers``. Windows of all servers are interleaved; CPU is that of the process and
its children. Beside them the least of gateways, and the model server itself asked directly. Brief requests are answered
by one word, long ones by 200 in one body; streamed pieces come as fast as they can, on eight streams, paced ones ten
a second on each of fifty streams. The service asks the model server for a stream even where its client wants none.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from contextlib import ExitStack
from itertools import product
from pathlib import Path

import uvloop

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from benchmarks.serving import servers
from benchmarks.serving.loads import Target, ask, watch_paced
from benchmarks.serving.measures import Row, print_machine, print_rows, ratios

N_PACED = 50
OVER_S = 3.5
WINDOWS = (("brief request", "brief", False), ("long request", "fast", False), ("streamed piece", "fast", True))
"""What is counted, the model of the source, and whether it is streamed."""
N_BRIEF, N_LONG = {"LiteLLM": 48}, {"LiteLLM": 8}
"""How many requests of each go into one window; to all other servers, so many:"""
MANY_BRIEF, MANY_LONG = 400, 24
FLOORS = {"brief request": 20.0, "streamed piece": 50.0, "paced piece": 4.0}

Costs = dict[str, dict[str, list[float]]]
"""Microseconds of CPU by what was counted and by server, one for each round."""


def ask_window(target: Target, model: str, *, is_streamed: bool) -> float:
    """Return microseconds of CPU per piece of a stream, or per request."""
    is_brief = model == "brief"
    n_requests = N_BRIEF.get(target.name, MANY_BRIEF) if is_brief else N_LONG.get(target.name, MANY_LONG)
    cost = ask(target, target.request(model, is_streamed=is_streamed), n_requests=n_requests)
    return cost.us_per_piece if is_streamed else cost.us_per_request


def measure(targets: list[Target], *, n_rounds: int, n_paced_rounds: int) -> Costs:
    whats = [*(what for what, _, _ in WINDOWS), "paced piece"]
    costs: Costs = {what: {target.name: [] for target in targets} for what in whats}
    for round_number in range(n_rounds + 1):
        for (what, model, is_streamed), target in product(WINDOWS, targets):
            cost = ask_window(target, model, is_streamed=is_streamed)
            if round_number:  # the first round warms up
                costs[what][target.name].append(cost)
    for _ in range(n_paced_rounds):
        for target in targets:
            request = target.request("paced", is_streamed=True, keeps_alive=False)
            paced = uvloop.run(watch_paced(target, request, n_streams=N_PACED, over_s=OVER_S))
            costs["paced piece"][target.name].append(paced.us_per_piece)
    return costs


def report(costs: Costs) -> None:
    print(f"\n| CPU us | {' | '.join(costs)} |\n|{'---|' * (len(costs) + 1)}")
    for name in costs["paced piece"]:
        cells = [f"{statistics.median(by_name[name]):.1f}" for by_name in costs.values()]
        print(f"| {name} | {' | '.join(cells)} |")
    if "LiteLLM" in costs["paced piece"]:
        print_rows(
            [
                Row(
                    what=f"LiteLLM / longscroll, CPU of a {what}",
                    values=ratios(costs[what]["LiteLLM"], costs[what]["longscroll"]),
                    floor=floor,
                    unit="x",
                )
                for what, floor in FLOORS.items()
            ]
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="two rounds instead of five")
    arguments = parser.parse_args()
    print_machine()
    print(servers.versions())
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        upstream = stack.enter_context(servers.source())
        least = stack.enter_context(servers.pass_through(upstream))
        ours = stack.enter_context(servers.product(folder, upstream))
        theirs = stack.enter_context(servers.litellm(folder, upstream))
        targets = [target for target in (upstream, least, ours, theirs) if target is not None]
        n_rounds, n_paced_rounds = (2, 1) if arguments.quick else (5, 3)
        report(measure(targets, n_rounds=n_rounds, n_paced_rounds=n_paced_rounds))


if __name__ == "__main__":
    main()
