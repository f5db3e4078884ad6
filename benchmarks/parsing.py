"""What parsing costs over bare pypdfium2, in CPU seconds: interleaved, medians.

    python benchmarks/parsing.py ../shared/samples/pdf/*.pdf

For each PDF, five times in turn: bare pypdfium2 (the text of every page), our parser (clean text, labels, outline,
origin), and the whole path of an upload in its child (fork, containment, parse, cut, count, index, artifact). The first
ratio is the parser's own cost; the last column is what an upload takes in all.
"""

from __future__ import annotations

import asyncio
import platform
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import pypdfium2

from longscroll.documents.messages import ChildEnded, ParseTask
from longscroll.documents.zygote import Zygote
from longscroll.parsing.pdf import parse_pdf

N_ROUNDS = 5


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
        return sum(1 for _ in parse_pdf(file, path.name))


def cpu_s(work: Callable[[Path], object], path: Path) -> float:
    before = time.process_time()
    work(path)
    return time.process_time() - before


async def run_child(zygote: Zygote, path: Path) -> float:
    """Return the CPU seconds of one child, from its fork to its end."""
    with path.open("rb") as file, tempfile.TemporaryFile() as artifact:
        task = ParseTask(task=time.monotonic_ns(), filename=path.name)
        child = await zygote.begin(task, file=file.fileno(), artifact=artifact.fileno())
        while not isinstance(event := await child.next(), ChildEnded):
            pass
    return event.cpu_s


async def main(paths: list[Path]) -> None:
    print(f"{platform.machine()}, Python {platform.python_version()}, pypdfium2 {pypdfium2.version.PYPDFIUM_INFO}")
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


if __name__ == "__main__":
    asyncio.run(main([Path(name) for name in sys.argv[1:]]))
