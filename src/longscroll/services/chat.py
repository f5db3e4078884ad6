"""Answer a chat: admit → resolve documents → read → meter. The only place that orders these.

Knows no wire format; hands documents to ``reading`` as sources and never opens one.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from msgspec import Struct, structs

from longscroll.documents.ingest import ARTIFACT, Failed, Ingest, Ready
from longscroll.engines.base import EngineUsage
from longscroll.errors import FileGone, FileNotParsed, FileUnreadable, InputTooLong, InvalidFile
from longscroll.reading.messages import Source
from longscroll.reading.reader import Reader, ReadingFinish, ReadingRequest
from longscroll.services.models import Model, ModelCatalog
from longscroll.services.references import Conversation, FileReference, read_conversation
from longscroll.storage.base import BlobStore, FileStore, blob_prefix
from longscroll.tokens import RunningCount, TokenCounter, count_chat
from longscroll.types import (
    ChatEvent,
    ChatRequest,
    Delta,
    File,
    FileStatus,
    Finish,
    Message,
    Progress,
    Report,
    Usage,
)

MAX_TOTAL_TOKENS = 10_000_000
"""Tokens of all documents and messages of one request (PROTOCOL.md §6.2)."""

_ON_LOOP_CHARS = 2_000
"""A longer text is counted and sorted in a thread: the event loop is given a millisecond."""


class ChatOptions(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a chat may ask for and how long it waits."""

    parse_wait_s: float = 240.0  # 0: a file that is still being parsed is an error at once
    inline_limit_tokens: int = 1_000_000


class ChatService:
    """Chats over files and text, for every surface and for the commands."""

    def __init__(
        self,
        *,
        catalog: ModelCatalog,
        files: FileStore,
        blobs: BlobStore,
        ingest: Ingest,
        reader: Reader,
        counter: TokenCounter,
        options: ChatOptions,
    ) -> None:
        """Wire the rooms that a chat crosses; owns none of them."""
        self._catalog = catalog
        self._files = files
        self._blobs = blobs
        self._ingest = ingest
        self._reader = reader
        self._counter = counter
        self._options = options

    async def answer(self, request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
        """Answer a request: Progress while it waits, Deltas, one Finish. Closing the iterator stops all work for it.

        Raises:
            ModelNotFound, ModelUnavailable: nothing stands behind the name.
            ConversationError: a document cannot be read.
            EngineError: before the first Delta or after it.
        """
        model, engine = self._catalog.answering(request.model)
        conversation = await self._understand(request.messages)
        files = await self._find(request.workspace, conversation.file_ids)
        async with aclosing(self._wait_until_parsed(files)) as waiting:
            async for progress in waiting:
                yield progress
        n_input = await self._count_input(conversation, files)
        sources = await self._sources(request.workspace, conversation, files)
        running = RunningCount(self._counter)
        reading = ReadingRequest(
            workspace=request.workspace,
            question=conversation.question,
            history=conversation.history,
            behavior=conversation.behavior,
            sources=sources,
            sampling=request.sampling,
            citations=request.citations or model.citations,
            model=model.served_name,
        )
        async with aclosing(self._reader.answer(reading, engine)) as events:
            async for event in events:
                if isinstance(event, Delta):
                    yield structs.replace(event, n_input_tokens=n_input, n_output_tokens=running.add(event.text))
                elif isinstance(event, ReadingFinish):
                    yield self._finish(event, request, model, n_input=n_input, n_output=running.total())
                else:
                    yield event

    async def _understand(self, messages: Sequence[Message]) -> Conversation:
        """Sort the messages; a long text is sorted in a thread, away from other requests."""
        if sum(len(message.content) for message in messages) <= _ON_LOOP_CHARS:
            return read_conversation(messages, count=self._counter.count)
        return await asyncio.to_thread(read_conversation, messages, count=self._counter.count)

    async def _find(self, workspace: str, file_ids: Sequence[str]) -> dict[str, File]:
        files = await self._files.get_many(workspace, file_ids)
        for file_id in file_ids:
            if file_id not in files:
                raise InvalidFile(file_id)
            kind = files[file_id].error_kind
            if kind is not None:
                raise FileUnreadable(file_id, kind)
        return files

    async def _wait_until_parsed(self, files: dict[str, File]) -> AsyncGenerator[Progress, None]:
        """Yield progress until every file is processed; puts the processed rows into ``files``."""
        pending = [file for file in files.values() if file.status != FileStatus.PROCESSED]
        if not pending:
            return
        if self._options.parse_wait_s <= 0:
            raise FileNotParsed(pending[0].id)
        deadline = asyncio.get_running_loop().time() + self._options.parse_wait_s
        for file in pending:
            async with aclosing(self._wait_for(file, deadline)) as waiting:
                async for progress in waiting:
                    yield progress
            parsed = await self._files.get(file.workspace, file.id)
            if parsed is None:
                raise FileGone(file.id)
            files[file.id] = parsed

    async def _wait_for(self, file: File, deadline: float) -> AsyncGenerator[Progress, None]:
        async with aclosing(self._ingest.watch(file.workspace, file.id)) as watching:
            while True:
                try:
                    async with asyncio.timeout_at(deadline):
                        event = await anext(watching)
                except TimeoutError:
                    raise FileNotParsed(file.id) from None
                if isinstance(event, Ready):
                    return
                if isinstance(event, Failed):
                    raise FileGone(file.id) if event.kind is None else FileUnreadable(file.id, event.kind)
                yield event

    async def _count_input(self, conversation: Conversation, files: dict[str, File]) -> int:
        """Count the request as ChatML with every reference replaced by its document (PROTOCOL.md §6.5)."""
        counted: list[tuple[str, int]] = []
        for part in conversation.parts:
            n_text = await self._count(part.text)
            if part.role == "system" and n_text > self._options.inline_limit_tokens:
                raise InputTooLong(f"Range of input length should be [1, {self._options.inline_limit_tokens}]")
            counted.append((part.role, n_text + sum(files[file_id].n_tokens or 0 for file_id in part.file_ids)))
        n_input = count_chat(self._counter, counted)
        if n_input > MAX_TOTAL_TOKENS:
            raise InputTooLong(f"Total message token length exceed model limit ({MAX_TOTAL_TOKENS} tokens).")
        return n_input

    async def _count(self, text: str) -> int:
        if len(text) <= _ON_LOOP_CHARS:
            return self._counter.count(text)
        return await asyncio.to_thread(self._counter.count, text)

    async def _sources(self, workspace: str, conversation: Conversation, files: dict[str, File]) -> tuple[Source, ...]:
        sources = []
        for position, document in enumerate(conversation.documents):
            if isinstance(document, FileReference):
                sources.append(await self._file_source(files[document.file_id], position))
            else:
                sources.append(Source(document=position, workspace=workspace, inline=document.text))
        return tuple(sources)

    async def _file_source(self, file: File, position: int) -> Source:
        path = await self._blobs.local_path(blob_prefix(file.workspace, file.id) + ARTIFACT)
        if path is None:
            raise FileGone(file.id)
        return Source(
            document=position,
            workspace=file.workspace,
            file_id=file.id,
            filename=file.filename,
            artifact=str(path),
            n_tokens=file.n_tokens,
        )

    def _finish(
        self, reading: ReadingFinish, request: ChatRequest, model: Model, *, n_input: int, n_output: int
    ) -> Finish:
        engine_usage = reading.engine_usage
        usage = Usage(
            n_input_tokens=n_input,
            n_output_tokens=n_output,
            n_read_tokens=reading.evidence.n_tokens_read,
            n_cached_tokens=engine_usage.n_cached_tokens if engine_usage else 0,
            is_estimated=not self._counter.is_exact,
        )
        report = _report(reading, model) if request.wants_report else None
        served = model.served_name if model.is_substitute else request.model
        return Finish(reason=reading.reason, usage=usage, model_served=served, report=report)


def _report(reading: ReadingFinish, model: Model) -> Report:
    evidence = reading.evidence
    usage = reading.engine_usage
    return Report(
        plan=evidence.plan,
        plan_reason=evidence.plan_reason,
        abstained=reading.abstained,
        coverage=round(evidence.coverage, 4),
        n_tokens_read=evidence.n_tokens_read,
        n_tokens_not_read=max(0, evidence.n_tokens_total - evidence.n_tokens_read),
        sources=reading.sources,
        model_served=model.served_name,
        engine_usage=None if usage is None else _usage_by_name(usage),
    )


def _usage_by_name(usage: EngineUsage) -> dict[str, int]:
    return {
        "input_tokens": usage.n_input_tokens,
        "output_tokens": usage.n_output_tokens,
        "cached_tokens": usage.n_cached_tokens,
    }
