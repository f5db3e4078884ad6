"""Ten million tokens through the real service: CPU and wall from upload to processed, time to first content, memory.

    python benchmarks/haystack.py en [--files N] [--questions N]

Reads ``../shared/eval/haystack_{en,zh}.jsonl.xz`` beside the repository. The floors are DESIGN's: at most 9 CPU-seconds
from acknowledged to processed; first content of 16 conversations p50 100 ms, p99 300 ms, a burst of 16 within a second;
api process below 250 MB, readers below 300 MB beyond the mapped artifacts; ready within 2 s of a restart.
"""

from __future__ import annotations

import argparse
import json
import lzma
import socket
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from factories.http import Client
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


def first_content_s(client: Client, question: str, references: str) -> float:
    """Seconds from sending a streamed question to the first byte of content, connection included."""
    turns = [{"role": "system", "content": references}, {"role": "user", "content": question}]
    body = json.dumps({"model": "qwen-long", "stream": True, "messages": turns}).encode()
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {client.key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    start = time.perf_counter()
    with socket.create_connection(client.service.host_and_port) as connection:
        connection.sendall(head.encode() + body)
        received = b""
        while b"data:" not in received:
            received += connection.recv(1 << 16)
        first = time.perf_counter() - start
        while connection.recv(1 << 16):
            pass
    assert b"200 OK" in received, received[:300]
    return first


def together(client: Client, questions: tuple[str, ...], references: str, *, times: int, every_s: float) -> list[float]:
    """Sixteen conversations that ask ``times`` times, one question every ``every_s`` seconds each."""
    seconds: list[float] = []

    def converse(number: int) -> None:
        time.sleep(every_s * number / 16)
        for turn in range(times):
            begun = time.perf_counter()
            seconds.append(first_content_s(client, questions[(number + turn) % len(questions)], references))
            time.sleep(max(0.0, every_s - (time.perf_counter() - begun)))

    threads = [threading.Thread(target=converse, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return seconds


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
            for question in questions:
                first_content_s(client, question, references)
            alone = [first_content_s(client, questions[n % 8], references) for n in range(options.questions)]
            print_times("first content, one conversation", alone)
            print_times(
                "16 conversations, a question each 5 s", together(client, questions, references, times=4, every_s=5)
            )
            print_times("a burst of 16", together(client, questions, references, times=1, every_s=0))
            print_memory(root)
        begun = time.perf_counter()
        with RunningService(Path(folder) / "data"):
            print(f"restart to ready                                  {time.perf_counter() - begun:6.2f} s  (floor 2)")


if __name__ == "__main__":
    main()
