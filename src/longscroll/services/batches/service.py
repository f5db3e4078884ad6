"""Batches as clients see them: create, look at, list, cancel.

Knows no wire format and answers no line: that is the runner's work, who is woken when there is some.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from msgspec import Struct

from longscroll.access.base import Principal
from longscroll.errors import BatchNotFound, InvalidParameter
from longscroll.services.files import FileService
from longscroll.storage.batches import CANCELABLE, Batch, BatchFilter, BatchStatus, BatchStore
from longscroll.types import BATCH


class BatchRequest(Struct, frozen=True, kw_only=True):
    """What a client asks for, checked as far as the surface can."""

    endpoint: str
    input_file_id: str
    completion_window: str
    window: timedelta
    name: str = ""
    metadata: Mapping[str, str] = {}


class BatchService:
    """The batches of all workspaces; ``wake`` is called when the runner has something to do."""

    def __init__(
        self,
        batches: BatchStore,
        files: FileService,
        *,
        clock: Callable[[], datetime],
        wake: Callable[[], object] = lambda: None,
    ) -> None:
        self._batches = batches
        self._files = files
        self._clock = clock
        self._wake = wake

    async def create(self, caller: Principal, request: BatchRequest) -> Batch:
        """Queue a batch; durable when it returns.

        Raises:
            FileNotFound: the workspace has no such input.
            InvalidParameter: the input is not a file for batches.
        """
        file = await self._files.get(caller.workspace, request.input_file_id)
        if file.purpose != BATCH:
            raise InvalidParameter("The input file must be uploaded with the purpose 'batch'.", param="input_file_id")
        now = self._clock()
        batch = await self._batches.add(
            Batch(
                workspace=caller.workspace,
                id=f"batch_{uuid.uuid4()}",
                key_id=caller.key_id,
                endpoint=request.endpoint,
                input_file_id=file.id,
                completion_window=request.completion_window,
                name=request.name,
                metadata=request.metadata,
                created_at=now,
                expires_at=now + request.window,
            )
        )
        self._wake()
        return batch

    async def get(self, workspace: str, batch_id: str) -> Batch:
        """Return a batch of the workspace.

        Raises:
            BatchNotFound: there is none of that id, or it is another workspace's.
        """
        return _found(await self._batches.get(workspace, batch_id), batch_id)

    async def page(
        self, workspace: str, *, which: BatchFilter, after: str | None, limit: int
    ) -> tuple[list[Batch], bool]:
        """List batches by cursor; see ``BatchStore.page``."""
        return await self._batches.page(workspace, which=which, after=after, limit=limit)

    async def cancel(self, workspace: str, batch_id: str) -> Batch:
        """Begin to cancel a batch, or find that somebody has; what is answered by then is kept.

        Raises:
            BatchNotFound: there is none of that id, or it is another workspace's.
            InvalidParameter: it is at its end, or about to be.
        """
        batch = _found(await self._batches.cancel(workspace, batch_id, now=self._clock()), batch_id)
        if batch.status not in (*CANCELABLE, BatchStatus.CANCELLING, BatchStatus.CANCELLED):
            raise InvalidParameter(f"Cannot cancel a batch with status '{batch.status}'.", param="id")
        self._wake()
        return batch


def _found(batch: Batch | None, batch_id: str) -> Batch:
    if batch is None:
        raise BatchNotFound(batch_id)
    return batch
