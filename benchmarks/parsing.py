"""What parsing costs over bare pypdfium2, in CPU seconds: interleaved, medians.

    python -m benchmarks.parsing ../shared/samples/pdf/*.pdf
    python -m benchmarks.parsing --long [--pages 15000] [--megabytes 150]

For each PDF, five times in turn: bare pypdfium2 (the text of every page), our parser (clean text, labels, outline,
origin), and the whole path of an upload in its child (fork, containment, parse, cut, count, index, artifact). The first
ratio is the parser's own cost; the last column is what an upload takes in all.

``--long`` makes a PDF and a text of that size and takes them through the pool: the PDF with one child and with two in
turn, beside bare pypdfium2. Floors: two children take at most 1.10 times the CPU time of one, at most 0.60 of its wall
time on two idle cores, and no child more than 300 MB (200 for text).
"""

from __future__ import annotations

import argparse
import asyncio
import platform
import resource
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from statistics import median

import psutil
import pypdfium2
from benchmarks.long_files import write_pdf, write_text
from msgspec import Struct

from longscroll.documents.messages import ChildEnded, ParseProgress, ParseTask
from longscroll.documents.parsers import ParserOptions, Parsers
from longscroll.documents.zygote import Zygote
from longscroll.parsing.pdf import parse_pdf
from longscroll.types import Readable

N_ROUNDS = 5
N_LONG_ROUNDS = 3
MAX_PAGES = 1 << 20
OPTIONS = ParserOptions()


def run_bare(path: Path) -> None:
    document = pypdfium2.PdfDocument(path)
    for page in document:
        text_page = page.get_textpage()
        text_page.get_text_range()
        text_page.close()
        page.close()
    document.close()


def run_parser(path: Path) -> int:
    with path.open("rb") as file:
        return sum(1 for _ in parse_pdf(file, path.name, max_pages=MAX_PAGES))


def cpu_s(work: Callable[[Path], object], path: Path) -> float:
    before = time.process_time()
    work(path)
    return time.process_time() - before


async def run_child(zygote: Zygote, path: Path) -> float:
    """Return the CPU seconds of one child, from its fork to its end."""
    with path.open("rb") as file, tempfile.TemporaryFile() as artifact:
        task = ParseTask(
            task=time.monotonic_ns(),
            filename=path.name,
            max_pages=MAX_PAGES,
            part_pages=MAX_PAGES,
            memory_bytes=OPTIONS.memory_bytes,
            artifact_bytes=OPTIONS.max_artifact_bytes,
            cpu_s=OPTIONS.cpu_s,
        )
        child = await zygote.begin(task, [file.fileno(), artifact.fileno()])
        while not isinstance(event := await child.next(), ChildEnded):
            pass
    return event.cpu_s


async def compare(paths: Sequence[Path]) -> None:
    print(f"{'file':32} {'pages':>5} {'bare':>8} {'parser':>8} {'bare/parser':>11} {'upload':>8}")
    zygote = await Zygote.start()
    for path in paths:
        bare, parser, upload = [], [], []
        for _ in range(N_ROUNDS):
            bare.append(cpu_s(run_bare, path))
            parser.append(cpu_s(run_parser, path))
            upload.append(await run_child(zygote, path))
        a, b, c = median(bare), median(parser), median(upload)
        print(f"{path.name[:32]:32} {run_parser(path):>5} {a:>7.3f}s {b:>7.3f}s {a / b:>11.3f} {c:>7.3f}s")
    await zygote.close()
    peak_mb = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"CPU seconds, medians of {N_ROUNDS} interleaved rounds; largest process {peak_mb:.0f} MB")


class Run(Struct):
    """One file through the pool: seconds since its start, CPU seconds and largest residents of its children."""

    wall_s: float = 0.0
    cpu_s: float = 0.0
    first_page_s: float = 0.0
    first_preview_s: float = 0.0
    peaks_mb: dict[int, int] = {}


class Watch:
    """Listens to a parse, and looks at the children meanwhile."""

    def __init__(self, zygote: psutil.Process) -> None:
        self.run = Run()
        self._zygote = zygote
        self._start = time.perf_counter()

    def progressed(self, progress: ParseProgress) -> None:  # noqa: ARG002 - ParseListener
        """Note when the first page was read."""
        self.run.first_page_s = self.run.first_page_s or time.perf_counter() - self._start

    async def readable(self, preview: Path, readable: Readable) -> None:  # noqa: ARG002 - ParseListener
        """Note when there was something to read."""
        self.run.first_preview_s = self.run.first_preview_s or time.perf_counter() - self._start
        await asyncio.to_thread(preview.unlink)

    async def look(self) -> None:
        """Note how large the children are, for ever."""
        while True:
            for child in self._zygote.children():
                with suppress(psutil.Error):
                    peak = max(self.run.peaks_mb.get(child.pid, 0), child.memory_info().rss >> 20)
                    self.run.peaks_mb[child.pid] = peak
            await asyncio.sleep(0.02)


async def run_pool(parsers: Parsers, path: Path) -> Run:
    assert parsers.zygote_pid is not None
    zygote = psutil.Process(parsers.zygote_pid)
    watch = Watch(zygote)
    looking = asyncio.create_task(watch.look())
    before, start = zygote.cpu_times(), time.perf_counter()
    await parsers.parse(path, path.with_name("artifact"), filename=path.name, listener=watch)
    watch.run.wall_s = time.perf_counter() - start
    looking.cancel()
    await asyncio.sleep(0.5)  # until the last children are gone
    after = zygote.cpu_times()
    watch.run.cpu_s = after.children_user + after.children_system - before.children_user - before.children_system
    return watch.run


async def warm(parsers: Parsers, folder: Path) -> None:
    (folder / "warm.txt").write_text("warm\n")
    await run_pool(parsers, folder / "warm.txt")


def print_run(name: str, runs: Sequence[Run]) -> None:
    peaks = sorted({peak for run in runs for peak in run.peaks_mb.values()}, reverse=True)
    print(
        f"{name:24} {median(run.wall_s for run in runs):>7.2f}s {median(run.cpu_s for run in runs):>7.2f}s"
        f" {median(run.first_page_s for run in runs):>10.3f}s {median(run.first_preview_s for run in runs):>12.2f}s"
        f"   {', '.join(map(str, peaks[:4]))}"
    )


async def compare_long(folder: Path, n_pages: int, n_bytes: int) -> None:
    pdf, text = folder / "long.pdf", folder / "long.txt"
    write_pdf(pdf, n_pages, n_bytes)
    write_text(text, n_bytes)
    bare: list[float] = []
    one: list[Run] = []
    two: list[Run] = []
    async with Parsers(n_children=1) as alone, Parsers(n_children=2) as both:
        for parsers in (alone, both):
            await warm(parsers, folder)
        for _ in range(N_LONG_ROUNDS):
            bare.append(cpu_s(run_bare, pdf))
            one.append(await run_pool(alone, pdf))
            two.append(await run_pool(both, pdf))
        texts = [await run_pool(both, text)]
    print(f"{'':24} {'wall':>8} {'CPU':>8} {'first page':>11} {'first preview':>13}   largest children, MB")
    print(f"{'PDF, bare pypdfium2':24} {'':>8} {median(bare):>7.2f}s")
    for name, runs in (("PDF, one child", one), ("PDF, two children", two), ("text", texts)):
        print_run(name, runs)
    cpu = median(b.cpu_s / a.cpu_s for a, b in zip(one, two, strict=True))
    wall = median(b.wall_s / a.wall_s for a, b in zip(one, two, strict=True))
    print(f"two children / one: CPU {cpu:.2f}, wall {wall:.2f}; medians of {N_LONG_ROUNDS} interleaved rounds")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("paths", nargs="*", type=Path, help="PDF files")
    parser.add_argument("--long", action="store_true", help="measure long files of our own making")
    parser.add_argument("--pages", type=int, default=15_000)
    parser.add_argument("--megabytes", type=int, default=150)
    arguments = parser.parse_args()
    print(f"{platform.machine()}, Python {platform.python_version()}, pypdfium2 {pypdfium2.version.PYPDFIUM_INFO}")
    if arguments.paths:
        asyncio.run(compare(arguments.paths))
    if arguments.long:
        with tempfile.TemporaryDirectory() as folder:
            asyncio.run(compare_long(Path(folder), arguments.pages, arguments.megabytes * 1_000_000))


if __name__ == "__main__":
    main()
