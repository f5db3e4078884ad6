"""Hostile and broken files, each beside a healthy one: how each ends, what it takes, and what the neighbor feels of it.

    python benchmarks/hostile.py [--samples DIR] [--rounds N]

A real service; the hostile files come from one workspace, the healthy ones at the same moment from another. Two of the
hostile files are made here: a page that never ends, and one that takes all the memory it gets. Then many at once.
Bars: each ends in text or its exact error, at most 512 MB resident, at most 15 s without a page, the neighbor at most a
second slower than alone. Ends with status 1 where one is missed. Needs Linux: it reads /proc.
"""

from __future__ import annotations

import argparse
import functools
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from factories.families import Family
from factories.http import Client
from factories.pdf_files import build_pdf, pdf_file
from factories.running import RunningService

SAMPLES = Path(__file__).parents[2] / "shared" / "samples" / "hostile"
MAX_PEAK_MB = 512
MAX_STALLED_S = 15.0
MAX_SLOWER_S = 1.0
TOLD_WITHIN_S = 1.0  # between the end of a stalled child and the moment when a client is told so
SAMPLE_S = 0.02
POLL_S = 0.02
GIVE_UP_S = 120.0
LATER_S = (0.2, 0.5, 3.0, 6.0)  # after a crowd of hostile files, a healthy one each

TEXT = ""
DAMAGED_PDF, DAMAGED_DOCX = "This PDF is damaged", "The document is damaged and cannot be read."
ENDS = {  # how the sentence begins; a file that is not here may end in any
    "GHOSTSCRIPT-698804-1-fuzzed.pdf": "no text found",
    "PDFBOX-4352-0.pdf": "no text found",
    "REDHAT-1531897-0.pdf": DAMAGED_PDF,
    "copy-protected_readable.pdf": TEXT,
    "deep.json": TEXT,
    "deep_nesting.docx": DAMAGED_DOCX,
    "empty.pdf": "no text found",
    "empty.txt": "no text found",
    "encrypted_agile.docx": "This Office document needs a password to be read",
    "gbk_names.zip": "This looks like a ZIP archive",
    "nul_bytes.txt": TEXT,
    "password_openpassword.pdf": "This PDF needs a password to be read",
    "path_traversal.epub": "This looks like an EPUB e-book",
    "pdf_named.docx": TEXT,
    "pixel_bomb.png": "This looks like a PNG picture",
    "poppler-395-0-fuzzed.pdf": DAMAGED_PDF,
    "poppler-67295-0.pdf": TEXT,
    "poppler-742-0-fuzzed.pdf": DAMAGED_PDF,
    "poppler-85140-0.pdf": "no text found",
    "random.bin.pdf": "The file is named .pdf but is no PDF",
    "stream_bomb.pdf": "The file made its parser fail",
    "text_named.pdf": TEXT,
    "truncated.pdf": DAMAGED_PDF,
    "wide_line.csv": TEXT,
    "xml_entity_bomb.docx": DAMAGED_DOCX,
    "xref_command_missing.pdf": TEXT,
    "xxe.xlsx": "This looks like an Excel workbook",
    "zipbomb.docx": "The document unpacks to more than can be read.",
    "endless.pdf": "Reading the file made no progress",
    "greedy.pdf": "The file made its parser fail",
}


class Sample(NamedTuple):
    """A file to send."""

    name: str
    data: bytes


class Ended(NamedTuple):
    """How a file ended, how long it took, and how much of that without a page."""

    status: str
    sentence: str
    seconds: float
    stalled_s: float


class Row(NamedTuple):
    """A line of the table: a hostile file, a healthy one, or one of each."""

    name: str
    ended: Ended
    peak_mb: float
    beside_s: float | None = None  # of the healthy file
    alone_s: float = 0.0

    @property
    def missed(self) -> str:
        """The bars that were missed, in words."""
        bars = {
            "end": not ends_well(self.name, self.ended),
            "memory": self.peak_mb > MAX_PEAK_MB,
            "time": self.ended.stalled_s > MAX_STALLED_S + TOLD_WITHIN_S,
            "neighbor": (self.beside_s or 0.0) > self.alone_s + MAX_SLOWER_S,
        }
        return ", ".join(name for name, is_missed in bars.items() if is_missed)


def ends_well(name: str, ended: Ended) -> bool:
    """Tell whether a file ended in text where it has some, else in the sentence that is meant for it."""
    wanted = ENDS.get(name)
    if wanted is None:
        return ended.status == "processed" or bool(ended.sentence)
    if wanted == TEXT:
        return ended.status == "processed"
    return ended.status == "error" and ended.sentence.startswith(wanted)


class PeakWatch:
    """Samples the memory of the parser children while it is entered; ``peak_mb`` is the most that one of them had."""

    def __init__(self, family: Family) -> None:
        """Watch the children of a service."""
        self.peak_mb = 0.0
        self._family = family
        self._zygote = 0
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def _watch(self) -> None:
        while not self._is_over.wait(SAMPLE_S):
            self.peak_mb = max([self.peak_mb, *map(_peak_mb, self._children())])

    def _children(self) -> list[str]:
        path = Path(f"/proc/{self._zygote}/task/{self._zygote}/children")
        with suppress(OSError):
            return path.read_text().split()
        self._zygote = next((process.pid for process in self._family.zygotes()), 0)
        return []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._is_over.set()
        self._thread.join()


def _peak_mb(pid: str) -> float:
    """Return the most memory that a process was resident in, what it shares with others included; 0 when it is gone."""
    with suppress(OSError, StopIteration):
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024
    return 0.0


def send(client: Client, sample: Sample) -> Ended:
    """Upload a file and follow it to its end."""
    start = time.monotonic()
    file_id = client.upload(sample.name, sample.data)
    moved_at, stalled_s, last_done = start, 0.0, None
    while (file := client.file(file_id))["status"] == "uploaded":
        assert time.monotonic() - start < GIVE_UP_S, f"{sample.name} has no end after {GIVE_UP_S:.0f} s"
        progress = file.get("longscroll", {}).get("progress", {"stage": "queued"})
        if progress["stage"] == "queued" or progress["done"] != last_done:
            moved_at, last_done = time.monotonic(), progress.get("done")
        stalled_s = max(stalled_s, time.monotonic() - moved_at)
        time.sleep(POLL_S)
    end = time.monotonic()
    return Ended(file["status"], file.get("status_details") or "", end - start, max(stalled_s, end - moved_at))


def at_once(jobs: Sequence[Callable[[], Ended]]) -> list[Ended]:
    """Do jobs in threads that begin together."""
    barrier = threading.Barrier(len(jobs))

    def begin(job: Callable[[], Ended]) -> Ended:
        barrier.wait()
        return job()

    with ThreadPoolExecutor(len(jobs)) as threads:
        return list(threads.map(begin, jobs))


def other_workspace(service: RunningService) -> Client:
    """Make a key of another workspace."""
    command = [sys.executable, "-m", "longscroll", "keys", "create", "--workspace", "healthy"]
    made = subprocess.run([*command, "--data-dir", service.data_dir], capture_output=True, text=True, check=True)
    return Client(service, key=made.stdout.strip())


def healthy_pdf() -> Sample:
    """Make a document of a hundred pages."""
    pages = [[f"Line {line} of page {page}, on which nothing is wrong." for line in range(40)] for page in range(100)]
    return Sample("healthy.pdf", build_pdf(pages))


def endless_pdf() -> Sample:
    """Make a page that draws ten thousand times what takes some twenty milliseconds to draw, and needs no memory."""
    return Sample("endless.pdf", _drawing_pdf(b"/F Do " * 10_000, form=b"n " * 1_000_000))


def greedy_pdf() -> Sample:
    """Make a page of millions of short lines, each of which the parser keeps."""
    return Sample("greedy.pdf", _drawing_pdf(b"/F Do " * 10_000, form=b"0 0 m 9 9 l S " * 100_000))


def _drawing_pdf(content: bytes, *, form: bytes) -> bytes:
    page = b"/MediaBox [0 0 9 9] /Resources << /XObject << /F 5 0 R >> >> /Contents 4 0 R"
    return pdf_file(
        [
            b"<< /Type /Catalog /Pages 2 0 R >>",
            b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
            b"<< /Type /Page /Parent 2 0 R %s >>" % page,
            _stream(content),
            _stream(zlib.compress(form, 9), b"/Type /XObject /Subtype /Form /BBox [0 0 9 9] /Filter /FlateDecode"),
        ]
    )


def _stream(content: bytes, facts: bytes = b"") -> bytes:
    return b"<< %s /Length %d >>\nstream\n%s\nendstream" % (facts, len(content), content)


class Trial:
    """The service under trial, its two clients, and how long the healthy file takes alone."""

    def __init__(self, service: RunningService, n_rounds: int) -> None:
        """Warm the service up."""
        self._service = service
        self._hostile, self._healthy = Client(service), other_workspace(service)
        self._n_rounds = n_rounds
        self._sample = healthy_pdf()
        self._send_healthy()
        self.alone_s = statistics.median(self._send_healthy().seconds for _ in range(2 * n_rounds + 1))

    def beside(self, sample: Sample) -> Row:
        """Send a hostile file and the healthy one at the same moment, several times."""
        ends, healthy_s = [], []
        with PeakWatch(self._service.family) as watch:
            for _ in range(self._n_rounds):
                ended, healthy = at_once([lambda: send(self._hostile, sample), self._send_healthy])
                ends.append(ended)
                healthy_s.append(healthy.seconds)
        worst = max(ends, key=lambda ended: (not ends_well(sample.name, ended), ended.stalled_s))
        return Row(sample.name, worst, watch.peak_mb, statistics.median(healthy_s), self.alone_s)

    def crowd(self, samples: Sequence[Sample]) -> list[Row]:
        """Send hostile files at once, and healthy ones while they are parsed."""
        hostile = [functools.partial(send, self._hostile, sample) for sample in samples]
        healthy = [functools.partial(self._send_healthy, after_s=after_s) for after_s in LATER_S]
        with PeakWatch(self._service.family) as watch:
            ends = at_once([*hostile, *healthy])
        of_hostile = [Row(s.name, end, watch.peak_mb) for s, end in zip(samples, ends, strict=False)]
        return of_hostile + [
            Row(self._sample.name, end, 0.0, end.seconds, self.alone_s) for end in ends[len(samples) :]
        ]

    def _send_healthy(self, *, after_s: float = 0.0) -> Ended:
        time.sleep(after_s)
        ended = send(self._healthy, self._sample)
        assert ended.status == "processed", ended
        return ended


def table(rows: Sequence[Row]) -> Iterator[str]:
    """Yield the lines of the table."""
    yield f"{'file':34} {'ended':9} {'s':>6} {'MB':>5} {'beside':>7} {'alone':>6}  missed"
    for row in rows:
        beside = f"{'':14}" if row.beside_s is None else f"{row.beside_s:7.2f} {row.alone_s:6.2f}"
        numbers = f"{row.ended.seconds:6.2f} {row.peak_mb:5.0f} {beside}"
        yield f"{row.name:34} {row.ended.status:9} {numbers}  {row.missed or '-'}  {row.ended.sentence}"


def main() -> None:
    options = argparse.ArgumentParser(description="Hostile files: how they end, what they take, what others feel.")
    options.add_argument("--samples", type=Path, default=SAMPLES, help="a folder of hostile files")
    options.add_argument("--rounds", type=int, default=3, help="of each file beside a healthy one")
    given = options.parse_args()
    paths = sorted(given.samples.iterdir()) if given.samples.is_dir() else []
    samples = [*(Sample(path.name, path.read_bytes()) for path in paths), greedy_pdf(), endless_pdf()]
    with tempfile.TemporaryDirectory() as folder, RunningService(Path(folder) / "data") as service:
        trial = Trial(service, given.rounds)
        rows = [trial.beside(sample) for sample in samples]
        print("\n".join(table(rows)))
        heaviest = sorted(zip(rows, samples, strict=True), key=lambda pair: -pair[0].ended.seconds)
        crowds = {
            "three that never end at once": [endless_pdf()] * 3,
            "eight that never end at once": [endless_pdf()] * 8,
            "the eight heaviest at once": [sample for _, sample in heaviest[:8]],
        }
        for title, crowd in crowds.items():
            of_crowd = trial.crowd(crowd)
            print(f"\n{title}, healthy ones {LATER_S} s later", *table(of_crowd), sep="\n")
            rows += of_crowd
    n_missed = sum(bool(row.missed) for row in rows)
    print(f"\n{len(rows) - n_missed} of {len(rows)} hold every bar")
    sys.exit(1 if n_missed else 0)


if __name__ == "__main__":
    main()
