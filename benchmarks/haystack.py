"""Ten million tokens through the real service: CPU and wall from upload to processed, time to first content, memory.

    python benchmarks/haystack.py en [--files N] [--questions N] [--turns N]

Reads ``../shared/eval/haystack_{en,zh}.jsonl.xz`` beside the repository. The floors are DESIGN's: at most 9 CPU-seconds
from acknowledged to processed; first content of 16 conversations p50 100 ms, p99 300 ms, a burst of 16 within a second
(open loop: questions go out when they are due, and latency counts from then);
api process below 250 MB, readers below 300 MB beyond the mapped artifacts; ready within 2 s of a restart.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import lzma
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from benchmarks.serving.open_loop import ask_on_schedule, own_cpu

from factories.http import Client
from factories.raw_chats import chat_request
from factories.running import RunningService

EVAL = Path(__file__).parents[2] / "shared" / "eval"
QUESTIONS = {
    "en": (
        "Who was the captain of the ship?",
        "What did the doctor find in the old house?",
        "Where was the treasure hidden?",
        "Why did she refuse to marry him?",
        "How many soldiers crossed the river?",
        "What colour was the horse that the stranger rode?",
        "When did the old king die?",
        "Who wrote the letter that was burned?",
    ),
    "zh": (
        "是谁放走了妖怪？",
        "太守派了多少兵马？",
        "那口宝剑藏在哪里？",
        "他为什么不肯娶这位小姐？",
        "老和尚临终前说了什么？",
        "大船是什么时候沉的？",
        "员外家里有几位公子？",
        "谁写了那封书信？",
    ),
}


MEGABYTES = {"en": 43, "zh": 34}
"""About ten million tokens, the most that one conversation may attach."""


SETTLE_S = 4
"""Readers and the parser load in the background after the ready line; that is not a file's cost."""


def documents(language: str, limit: int) -> Iterator[tuple[str, bytes]]:
    n_left = MEGABYTES[language] * 1e6
    with lzma.open(EVAL / f"haystack_{language}.jsonl.xz", "rt", encoding="utf-8") as rows:
        for number, line in enumerate(rows):
            if number >= limit:
                return
            row = json.loads(line)
            text = row["text"].encode()
            n_left -= len(text)
            if n_left < 0:
                return
            yield f"{row['id']}.txt".replace("/", "_"), text


def name_of(process: psutil.Process) -> str:
    words = " ".join(process.cmdline()[1:])
    return next((part for part in ("reading.process", "documents.child", "serve") if part in words), words[:40])


def cpu_seconds(root: psutil.Process) -> dict[str, float]:
    """CPU by process name: of the living processes of a tree and of the children they have waited for."""
    seconds: dict[str, float] = {}
    for process in [root, *root.children(recursive=True)]:
        times = process.cpu_times()
        total = times.user + times.system + times.children_user + times.children_system
        name = name_of(process)
        seconds[name] = seconds.get(name, 0.0) + total
    return seconds


async def ask(client: Client, requests: Sequence[bytes], options: argparse.Namespace) -> None:
    """Ask alone, in sixteen conversations and in a burst; print how long first content took, from when it was due."""
    await one_by_one(client, requests, len(requests))  # warms
    print_times("first content, one conversation", await one_by_one(client, requests, options.questions))
    with own_cpu() as cpu:
        times = await ask_on_schedule(client, requests, n_conversations=16, every_s=5, n_turns=options.turns)
    print_times("16 conversations, a question each 5 s", times)
    print_times("a burst of 16", await ask_on_schedule(client, requests, n_conversations=16, every_s=0, n_turns=1))
    print(f"while 16 conversations asked, the {cpu.verdict}")


async def one_by_one(client: Client, requests: Sequence[bytes], n_times: int) -> list[float]:
    times: list[float] = []
    for n in range(n_times):
        request = requests[n % len(requests)]
        times += await ask_on_schedule(client, [request], n_conversations=1, every_s=0, n_turns=1)
    return times


def print_times(what: str, seconds: list[float]) -> None:
    ordered = sorted(seconds)
    p99 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
    print(
        f"{what:<44} n={len(seconds):<4} p50 {statistics.median(ordered) * 1e3:6.0f} ms   p99 {p99 * 1e3:6.0f} ms"
        f"   max {ordered[-1] * 1e3:6.0f} ms"
    )


def print_memory(root: psutil.Process) -> None:
    for process in [root, *root.children(recursive=True)]:
        memory = process.memory_full_info()
        print(f"memory of {name_of(process):<34} rss {memory.rss / 1e6:5.0f} MB   private {memory.uss / 1e6:5.0f} MB")


def print_cpu(before: dict[str, float], after: dict[str, float]) -> None:
    spent = {name: after[name] - before.get(name, 0.0) for name in after}
    parts = ", ".join(f"{name} {seconds:.2f}" for name, seconds in spent.items())
    print(f"CPU, first upload → all processed, all processes  {sum(spent.values()):6.2f} s  (floor 9; {parts})")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("language", choices=("en", "zh"))
    arguments.add_argument("--files", type=int, default=100)
    arguments.add_argument("--questions", type=int, default=40)
    arguments.add_argument("--turns", type=int, default=8, help="of each of the 16 conversations")
    options = arguments.parse_args()
    texts = list(documents(options.language, options.files))
    questions = QUESTIONS[options.language]
    print(f"{len(texts)} files, {sum(len(data) for _, data in texts) / 1e6:.1f} MB")
    with tempfile.TemporaryDirectory() as folder:
        with RunningService(Path(folder) / "data") as service:
            client, root = Client(service), psutil.Process(service.process.pid)
            time.sleep(SETTLE_S)
            before, begun = cpu_seconds(root), time.perf_counter()
            ids = [client.upload(name, data) for name, data in texts]
            uploaded = time.perf_counter()
            files = [client.parsed(file_id, within_s=600, poll_s=0.25) for file_id in ids]
            done = time.perf_counter()
            assert all(file["status"] == "processed" for file in files), [file["status_details"] for file in files]
            print_cpu(before, cpu_seconds(root))
            print(f"wall, all uploads                                 {uploaded - begun:6.2f} s")
            print(f"wall, last acknowledged → all processed           {done - uploaded:6.2f} s")
            references = ",".join(f"fileid://{file_id}" for file_id in ids)
            usage = client.chat(("system", references), ("user", questions[0])).json["usage"]
            print(f"tokens attached                               {usage['prompt_tokens']:>10,}")
            requests = [chat_request(client, question, references=references) for question in questions]
            asyncio.run(ask(client, requests, options))
            print_memory(root)
        begun = time.perf_counter()
        with RunningService(Path(folder) / "data"):
            print(f"restart to ready                                  {time.perf_counter() - begun:6.2f} s  (floor 2)")


if __name__ == "__main__":
    main()
