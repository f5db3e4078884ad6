"""How long anything waits for the event loop of the api process, and other streams' delay, under the loads of DESIGN.

    python benchmarks/serving/loop_delay.py en [--files N] [--seconds S] [--megabytes M] [--streams N]

The real service with an observer on its loop (tests/factories/observed.py), over the files of benchmarks/haystack.py.
Phases: nothing; paced streams alone; 16 conversations with a question each 5 s, open loop; the same while a
large PDF, then a large text is uploaded and parsed (pages and lines of this program's own making); bursts of 16.
Beside it an idle process samples its own loop: what that one waits is the machine's doing. Floors: loop delay and added
delay of streams p99 5 ms; first content p50 100 ms, p99 300 ms; a burst of 16 within a second.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import uvloop
from msgspec import Struct, field

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from benchmarks.haystack import QUESTIONS, SETTLE_S, documents
from benchmarks.long_files import write_pdf, write_text
from benchmarks.serving.open_loop import Cpu, PacedStreams, ask_on_schedule, own_cpu, quantile

from factories.http import Client
from factories.observed import LoopDelay, ObservedService
from factories.raw_chats import chat_request

N_CONVERSATIONS, EVERY_S = 16, 5.0
N_BURSTS = 5
PACE_S = 0.02
FLOOR_S = 0.005
EDGES_MS = (1, 2, 5, 10, 20, 50, 100)
IDLE_PROCESS = (sys.executable, __file__, "--idle")


class Phase(Struct, kw_only=True):
    """What was seen while one load was on."""

    name: str
    seconds: float = 0.0
    service_s: Sequence[float] = ()  # loop delays
    idle_s: Sequence[float] = ()
    client_s: Sequence[float] = ()
    first_s: Sequence[float] = ()  # seconds to first content of each question
    late_s: Sequence[float] = ()  # of each paced delta
    client: Cpu = field(default_factory=Cpu)
    load: float = 0.0  # average over the last minute


class Bench(NamedTuple):
    """What every phase uses."""

    service: ObservedService
    client: Client
    questions: list[bytes]
    idle: asyncio.subprocess.Process
    delay: LoopDelay
    n_streams: int


def write_script(folder: Path, *, seconds: float) -> Path:
    """Configure a model that says a word every ``PACE_S`` for at least so long."""
    rule = {"deltas": ["word "] * int(seconds / PACE_S), "pace_s": PACE_S}
    (folder / "paced.jsonl").write_text(json.dumps(rule))
    config = folder / "longscroll.toml"
    config.write_text(f'[[model]]\nname = "paced"\nengine = "scripted"\nscript = "{folder / "paced.jsonl"}"\n')
    return config


async def ask_questions(bench: Bench, seconds: float) -> list[float]:
    """Let sixteen conversations ask for so long."""
    n_turns = max(1, round(seconds / EVERY_S))
    return await ask_on_schedule(
        bench.client, bench.questions, n_conversations=N_CONVERSATIONS, every_s=EVERY_S, n_turns=n_turns
    )


async def ask_while_parsing(bench: Bench, document: Path) -> list[float]:
    """Let conversations go on until a file is uploaded and parsed, by the command that people use."""
    begun = time.perf_counter()
    command = ["-m", "longscroll", "files", "put", str(document), "--base-url", bench.service.url]
    environment = {**os.environ, "LONGSCROLL_API_KEY": bench.client.key}
    put = await asyncio.create_subprocess_exec(
        sys.executable,
        *command,
        "--data-dir",
        str(bench.service.data_dir),
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    ended = asyncio.create_task(put.communicate())
    first_s: list[float] = []
    while not ended.done():
        first_s += await ask_questions(bench, EVERY_S)
    _, said = await ended
    assert put.returncode == 0, said.decode()
    print(f"{document.name} was uploaded and parsed in {time.perf_counter() - begun:.1f} s")
    return first_s


async def burst(bench: Bench) -> list[float]:
    """Ask sixteen questions at once, a few times; return what the last of each took."""
    last_s = []
    for _ in range(N_BURSTS):
        first_s = await ask_on_schedule(
            bench.client, bench.questions, n_conversations=N_CONVERSATIONS, every_s=0, n_turns=1
        )
        last_s.append(max(first_s))
        await asyncio.sleep(1)
    return last_s


async def idle_delays(bench: Bench) -> list[float]:
    assert bench.idle.stdin is not None
    assert bench.idle.stdout is not None
    bench.idle.stdin.write(b"\n")
    return [float(one) for one in (await bench.idle.stdout.readline()).split()]


@asynccontextmanager
async def observed(bench: Bench, name: str, *, n_streams: int | None = None) -> AsyncIterator[Phase]:
    """Measure while in the context; paced streams run all along."""
    phase = Phase(name=name)
    request = chat_request(bench.client, "go on", model="paced")
    n_streams = bench.n_streams if n_streams is None else n_streams
    async with PacedStreams(bench.client, request, n_streams=n_streams, pace_s=PACE_S) as streams:
        bench.service.delays_s()
        await idle_delays(bench)
        bench.delay.take()
        begun = time.perf_counter()
        with own_cpu() as phase.client:
            yield phase
        phase.seconds = time.perf_counter() - begun
        phase.client_s, phase.idle_s = bench.delay.take(), await idle_delays(bench)
        phase.service_s = await asyncio.to_thread(bench.service.delays_s)
        phase.late_s = streams.late_s()
    phase.load = os.getloadavg()[0]


async def measure(bench: Bench, folder: Path, options: argparse.Namespace) -> list[Phase]:
    async with observed(bench, "idle", n_streams=0) as idle:
        await asyncio.sleep(options.seconds / 3)
    async with observed(bench, "paced streams") as alone:
        await asyncio.sleep(options.seconds / 2)
    async with observed(bench, "16 conversations") as asking:
        asking.first_s = await ask_questions(bench, options.seconds)
    phases = [idle, alone, asking]
    pdf, text, n_bytes = folder / "large.pdf", folder / "large.txt", options.megabytes * 1_000_000
    await asyncio.to_thread(write_pdf, pdf, n_bytes // 10_000, n_bytes)
    await asyncio.to_thread(write_text, text, n_bytes)
    for document in (pdf, text):
        print(f"{document.name}: {document.stat().st_size / 1e6:.0f} MB")
        async with observed(bench, f"the same, {document.name}") as parsing:
            parsing.first_s = await ask_while_parsing(bench, document)
        phases.append(parsing)
    async with observed(bench, "bursts of 16: the last") as bursting:
        bursting.first_s = await burst(bench)
    return [*phases, bursting]


def upload(client: Client, texts: Sequence[tuple[str, bytes]]) -> str:
    ids = [client.upload(name, data) for name, data in texts]
    files = [client.parsed(file_id, within_s=600, poll_s=0.25) for file_id in ids]
    assert all(file["status"] == "processed" for file in files), files
    return ",".join(f"fileid://{file_id}" for file_id in ids)


async def run(service: ObservedService, folder: Path, options: argparse.Namespace) -> list[Phase]:
    client = Client(service)
    await asyncio.sleep(SETTLE_S)
    texts = list(documents(options.language, options.files))
    print(f"{len(texts)} files, {sum(len(data) for _, data in texts) / 1e6:.1f} MB, attached to every question")
    references = await asyncio.to_thread(upload, client, texts)
    questions = [chat_request(client, question, references=references) for question in QUESTIONS[options.language]]
    idle = await asyncio.create_subprocess_exec(
        *IDLE_PROCESS, stdin=subprocess.PIPE, stdout=subprocess.PIPE, limit=1 << 24
    )
    bench = Bench(service, client, questions, idle, LoopDelay(), options.streams)
    sampling = asyncio.create_task(bench.delay.sample())
    try:
        await ask_on_schedule(client, questions, n_conversations=1, every_s=0.2, n_turns=2 * len(questions))  # warms
        return await measure(bench, folder, options)
    finally:
        sampling.cancel()
        idle.kill()
        await idle.wait()


async def be_idle() -> None:
    """Sample this process's own loop and do nothing else; a line on standard input asks for the samples."""
    delay, lines = LoopDelay(), asyncio.StreamReader()
    sampling = asyncio.create_task(delay.sample())
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    while await lines.readline():
        print(" ".join(f"{late:.6f}" for late in delay.take()), flush=True)
    sampling.cancel()


def row(what: str, values: Sequence[float]) -> str:
    shares = (0.5, 0.9, 0.99, 0.999)
    figures = "".join(f"{quantile(values, share) * 1e3:9.1f}" for share in shares)
    return f"  {what:<34}{figures}{max(values, default=0.0) * 1e3:9.1f}{len(values):9}"


def histogram(values: Sequence[float]) -> str:
    bounds = [0.0, *(edge / 1e3 for edge in EDGES_MS), float("inf")]
    names = [*(f"≤{edge}" for edge in EDGES_MS), f">{EDGES_MS[-1]}"]
    counts = [sum(low < value <= high for value in values) for low, high in pairwise(bounds)]
    return "  loop of the service, ms: " + "  ".join(f"{name}: {n}" for name, n in zip(names, counts, strict=True))


def report(phases: Sequence[Phase]) -> None:
    alone = next(phase for phase in phases if phase.late_s)
    for phase in phases:
        print(f"\n{phase.name}, {phase.seconds:.0f} s, load {phase.load:.1f}; {phase.client.verdict}")
        print(f"  {'milliseconds':<34}{'p50':>9}{'p90':>9}{'p99':>9}{'p99.9':>9}{'max':>9}{'n':>9}")
        print(row("loop delay, service", phase.service_s))
        print(row("loop delay, an idle process beside", phase.idle_s))
        print(row("loop delay, this client", phase.client_s))
        if phase.late_s:
            print(row("paced deltas, beyond their pace", phase.late_s))
        if phase.first_s:
            print(row("first content, from when due", phase.first_s))
        print(histogram(phase.service_s))
        print(verdict(phase, alone))


def verdict(phase: Phase, alone: Phase) -> str:
    """Say where a phase stands to the floors, and whether the machine let it."""
    p99 = quantile(phase.service_s, 0.99)
    words = [f"loop delay p99 {p99 * 1e3:.1f} ms: {'met' if p99 <= FLOOR_S else 'MISSED'}"]
    if phase.late_s and phase is not alone:
        added = quantile(phase.late_s, 0.99) - quantile(alone.late_s, 0.99)
        words.append(f"added delay of streams p99 {added * 1e3:.1f} ms: {'met' if added <= FLOOR_S else 'MISSED'}")
    noise = quantile(phase.idle_s, 0.99)
    if noise > FLOOR_S:
        words.append(f"but the idle process itself waited {noise * 1e3:.1f} ms: the machine is too busy to tell")
    return "  → " + "; ".join(words)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("language", choices=("en", "zh"), nargs="?", default="en")
    arguments.add_argument("--files", type=int, default=100)
    arguments.add_argument("--seconds", type=float, default=60, help="of the phase with questions")
    arguments.add_argument("--megabytes", type=int, default=150, help="of the PDF and of the text")
    arguments.add_argument("--streams", type=int, default=20)
    arguments.add_argument("--idle", action="store_true", help=argparse.SUPPRESS)
    options = arguments.parse_args()
    if options.idle:
        uvloop.run(be_idle())
        return
    with tempfile.TemporaryDirectory() as folder:
        config = write_script(Path(folder), seconds=600)
        with ObservedService(Path(folder) / "data", arguments=["--config", str(config)]) as service:
            report(uvloop.run(run(service, Path(folder), options)))


if __name__ == "__main__":
    main()
