"""What both surfaces do with the file parts of a form: purposes, and bytes into an upload. Knows no reply's shape."""

from __future__ import annotations

from longscroll.errors import InvalidParameter
from longscroll.protocols.multipart import Part
from longscroll.services.files import Upload
from longscroll.types import BATCH

DEFAULT_PURPOSE = "file-extract"
PURPOSES = (DEFAULT_PURPOSE, "user_data", "assistants", BATCH)
"""The documented one, OpenAI's names for the same, which a reply repeats, and the lines of a batch."""


def check_purpose(purpose: str) -> None:
    """Refuse what files are not kept for here.

    Raises:
        InvalidParameter: with the recorded text, ``param`` is ``purpose``.
    """
    if purpose not in PURPOSES:
        raise InvalidParameter("'purpose' must be 'file-extract'", param="purpose")


async def receive(part: Part, upload: Upload) -> None:
    """Write the bytes of a part to an upload as they come.

    Raises:
        UploadTooLarge, StorageFull: as ``Upload.write``; the upload is still to be discarded.
    """
    async for piece in part.pieces():
        await upload.write(piece)
