"""What a running batch costs those who wait: first content of a live question without one and beside one.

    python benchmarks/serving/batch.py [--questions N] [--concurrency N] [--rounds N]

The real service with the embedded engine over one document of this program's own making; rounds without and with a
batch of questions on the same document take turns, so that a busy machine is as busy for both.
"""

from __future__ import annotations

import argparse
import http.client
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from factories.batches import make_line, to_jsonl
from factories.http import Client
from factories.running import RunningService

N_CODES = 60_000
N_LINES = 1000
PAUSE_S = 0.1
CHAT, BATCHES = "/v1/chat/completions", "/v1/batches"


def document() -> bytes:
    """Return some megabytes of codes and what they mean."""
    return "".join(
        f"Code E{n} means fault {n} of pump {n % 7}; replace part P{n * 3}.\n" for n in range(N_CODES)
    ).encode()


def question(file_id: str, number: int, *, is_streamed: bool) -> dict[str, Any]:
    system = [{"role": "system", "content": text} for text in ("Be brief.", f"fileid://{file_id}")]
    messages = [*system, {"role": "user", "content": f"What does E{number} mean?"}]
    return {"model": "qwen-long", "messages": messages, "stream": is_streamed}


def first_content_ms(service: RunningService, body: dict[str, Any]) -> float:
    connection = http.client.HTTPConnection(*service.host_and_port, timeout=60)
    began = time.monotonic()
    connection.request("POST", CHAT, json.dumps(body), {"Authorization": f"Bearer {service.key}"})
    response = connection.getresponse()
    response.read(1)
    elapsed_s = time.monotonic() - began
    response.read()
    connection.close()
    return elapsed_s * 1000


def ask(service: RunningService, file_id: str, n_questions: int) -> list[float]:
    times = []
    for number in range(n_questions):
        times.append(first_content_ms(service, question(file_id, number * 37 % N_CODES, is_streamed=True)))
        time.sleep(PAUSE_S)
    return times


def begin_batch(client: Client, file_id: str) -> str:
    lines = (make_line(f"r{n}", body=question(file_id, n * 41 % N_CODES, is_streamed=False)) for n in range(N_LINES))
    input_id = client.upload("questions.jsonl", to_jsonl(*lines), purpose="batch")
    asked = {"input_file_id": input_id, "endpoint": CHAT, "completion_window": "24h"}
    batch_id: str = client.request("POST", BATCHES, asked).json["id"]
    while client.request("GET", f"{BATCHES}/{batch_id}").json["status"] != "in_progress":
        time.sleep(0.01)
    return batch_id


def end_batch(client: Client, batch_id: str) -> int:
    """Cancel a batch, wait for its end, and return how many lines were answered."""
    client.request("POST", f"{BATCHES}/{batch_id}/cancel")
    while (batch := client.request("GET", f"{BATCHES}/{batch_id}").json)["status"] == "cancelling":
        time.sleep(0.05)
    n_answered: int = batch["request_counts"]["completed"]
    return n_answered


def row(name: str, times: list[float]) -> str:
    cuts = statistics.quantiles(times, n=100)
    p50, p95, p99 = cuts[49], cuts[94], cuts[98]
    return f"{name:<12} p50 {p50:6.1f} ms   p95 {p95:6.1f}   p99 {p99:6.1f}   n {len(times)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--questions", type=int, default=40, help="live ones in a round")
    parser.add_argument("--concurrency", type=int, default=2, help="lines of the batch at once")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    alone: list[float] = []
    beside: list[float] = []
    n_answered, batch_s = 0, 0.0
    with tempfile.TemporaryDirectory() as folder:
        environment = {"LONGSCROLL_BATCH__CONCURRENCY": str(arguments.concurrency)}
        with RunningService(Path(folder) / "data", environment=environment) as service:
            client = Client(service)
            file_id = client.upload("codes.txt", document())
            client.parsed(file_id)
            ask(service, file_id, 5)
            for _ in range(arguments.rounds):
                alone += ask(service, file_id, arguments.questions)
                batch_id, began = begin_batch(client, file_id), time.monotonic()
                beside += ask(service, file_id, arguments.questions)
                batch_s += time.monotonic() - began
                n_answered += end_batch(client, batch_id)
    print(row("alone", alone), row("with a batch", beside), sep="\n")
    ratio = statistics.median(beside) / statistics.median(alone)
    print(f"ratio of the medians {ratio:.2f}; {n_answered / batch_s:.0f} lines a second were answered beside them")


if __name__ == "__main__":
    main()
