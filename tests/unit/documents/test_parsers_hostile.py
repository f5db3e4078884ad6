"""Hostile and broken files: each ends in text or its exact error, within limits, and the next file is unaffected."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from factories.parsing import parse_task
from longscroll.documents.messages import ChildEnded, ParseDone, ParseFailed
from longscroll.documents.zygote import Zygote
from longscroll.errors import DocumentErrorKind

SAMPLES = Path(__file__).parents[4] / "shared" / "samples" / "hostile"
MAX_PEAK_BYTES = 512 << 20
HEALTHY = "# A healthy file\n\n一切正常。\n".encode()

pytestmark = [
    pytest.mark.skipif(not SAMPLES.is_dir(), reason="the hostile samples lie beside the project, not in it"),
    pytest.mark.asyncio(loop_scope="module"),
]

BLANK, CORRUPT, ENCRYPTED = DocumentErrorKind.BLANK, DocumentErrorKind.CORRUPT, DocumentErrorKind.ENCRYPTED
TOO_LARGE, UNSUPPORTED = DocumentErrorKind.TOO_LARGE, DocumentErrorKind.UNSUPPORTED
TEXT, KILLED = "text", "killed"
ENDS = {
    "GHOSTSCRIPT-698804-1-fuzzed.pdf": BLANK,
    "PDFBOX-4352-0.pdf": BLANK,
    "REDHAT-1531897-0.pdf": CORRUPT,
    "copy-protected_readable.pdf": TEXT,
    "deep.json": TEXT,
    "deep_nesting.docx": CORRUPT,
    "empty.pdf": BLANK,
    "empty.txt": BLANK,
    "encrypted_agile.docx": ENCRYPTED,
    "gbk_names.zip": UNSUPPORTED,
    "nul_bytes.txt": TEXT,
    "password_openpassword.pdf": ENCRYPTED,
    "path_traversal.epub": UNSUPPORTED,
    "pdf_named.docx": TEXT,
    "pixel_bomb.png": UNSUPPORTED,
    "poppler-395-0-fuzzed.pdf": CORRUPT,
    "poppler-67295-0.pdf": TEXT,
    "poppler-742-0-fuzzed.pdf": CORRUPT,
    "poppler-85140-0.pdf": BLANK,
    "random.bin.pdf": CORRUPT,
    "stream_bomb.pdf": KILLED,
    "text_named.pdf": TEXT,
    "truncated.pdf": CORRUPT,
    "wide_line.csv": TEXT,
    "xml_entity_bomb.docx": CORRUPT,
    "xref_command_missing.pdf": TEXT,
    "xxe.xlsx": UNSUPPORTED,
    "zipbomb.docx": TOO_LARGE,
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def zygote() -> AsyncIterator[Zygote]:
    zygote = await Zygote.start()
    yield zygote
    await zygote.close()


async def run(zygote: Zygote, path: Path, folder: Path) -> tuple[str, ChildEnded]:
    """Return how a file ended and how its child did; 15 seconds are all it has."""
    task = parse_task(path.name, task=id(path))
    reply = KILLED
    async with asyncio.timeout(15):
        with path.open("rb") as file, (folder / "artifact").open("wb") as artifact:
            child = await zygote.begin(task, [file.fileno(), artifact.fileno()])
        while not isinstance(event := await child.next(), ChildEnded):
            if isinstance(event, ParseDone | ParseFailed):
                reply = TEXT if isinstance(event, ParseDone) else str(event.kind)
    return reply, event


@pytest.mark.parametrize("name", ENDS)
async def test_a_hostile_file_ends_within_its_limits_and_the_next_one_is_parsed(
    zygote: Zygote, tmp_path: Path, name: str
) -> None:
    reply, ended = await run(zygote, SAMPLES / name, tmp_path)
    assert reply == ENDS[name]
    assert ended.peak_bytes <= MAX_PEAK_BYTES
    (tmp_path / "healthy.md").write_bytes(HEALTHY)
    reply, ended = await run(zygote, tmp_path / "healthy.md", tmp_path)
    assert (reply, ended.signal) == (TEXT, None)


async def test_every_hostile_sample_has_an_expected_end() -> None:
    assert {path.name for path in await asyncio.to_thread(lambda: list(SAMPLES.iterdir()))} == set(ENDS)
