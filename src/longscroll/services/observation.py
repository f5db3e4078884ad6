"""What the service says of itself at ``/metrics``: what was counted, and what is there at this moment.

Asks the rooms that own each number; knows neither names of series nor HTTP.
"""

from __future__ import annotations

import asyncio

from longscroll.documents.ingest import Ingest
from longscroll.documents.parsers import Parsers
from longscroll.reading.pool import Readers
from longscroll.storage.base import FileStore
from longscroll.telemetry.journal import Journal
from longscroll.telemetry.metrics import Exposition, Levels, Metrics


class Observation:
    """The numbers of one application."""

    def __init__(
        self,
        metrics: Metrics,
        journal: Journal,
        files: FileStore,
        *,
        ingest: Ingest,
        parsers: Parsers,
        readers: Readers,
    ) -> None:
        """Show ``metrics`` beside what the others hold."""
        self._metrics = metrics
        self._journal = journal
        self._files = files
        self._ingest = ingest
        self._parsers = parsers
        self._readers = readers

    async def expose(self, workspace: str | None, accept: str) -> Exposition:
        """Return what a workspace may see, or None for everything, in the format that ``accept`` asks for."""
        held = await self._files.census(workspace)
        load = self._readers.load
        levels = Levels(
            files=held,
            n_requests=self._journal.n_open,
            n_files_parsing=self._ingest.n_running,
            n_questions_waiting=load.n_waiting,
            n_readers_busy=load.n_busy,
            n_readers=load.n_readers,
            n_reader_restarts=load.n_restarts,
            n_parser_restarts=self._parsers.n_restarts,
        )
        return await asyncio.to_thread(self._metrics.exposition, levels, workspace=workspace, accept=accept)
