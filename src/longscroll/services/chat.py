"""Answer a chat: admit → find its files → reserve its tokens → read → meter. The only place that orders these.

Knows no wire format; hands documents to ``reading`` as sources and never opens one.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from datetime import datetime

from msgspec import Struct, structs

from longscroll.access.metering import Meter, Metering
from longscroll.documents.ingest import Ingest
from longscroll.engines.base import Engine, EngineUsage
from longscroll.errors import FileGone, InputTooLong, InvalidFile, TooManyFiles
from longscroll.reading.messages import Source
from longscroll.reading.reader import EvidenceFound, Reader, ReadingFinish, ReadingRequest
from longscroll.services.attachments import Attachment, Attachments, Found
from longscroll.services.demands import meet
from longscroll.services.in_turn import answer_in_turn
from longscroll.services.in_use import FilesInUse, Use
from longscroll.services.models import Model, ModelCatalog
from longscroll.services.output import ON_LOOP_CHARS, OutputCount
from longscroll.services.references import MAX_FILES, Conversation, FileReference, read_conversation
from longscroll.storage.base import BlobStore, FileStore, UsageRecord
from longscroll.tokens import JSON_MODE_TOKENS, TokenCounter, count_chat
from longscroll.types import (
    ChatEvent,
    ChatRequest,
    Delta,
    Finish,
    Message,
    Report,
    SourceReport,
    Usage,
)

MAX_TOTAL_TOKENS = 10_000_000
"""Tokens of all documents and messages of one request (PROTOCOL.md §6.2)."""

EXPECTED_ANSWER_TOKENS = 512
"""What an answer is expected to have where ``max_tokens`` does not say: reserved of a limit until it is known."""


class ChatOptions(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a chat may ask for and how long it waits."""

    parse_wait_s: float = 240.0  # 0: a file that is still being parsed is an error at once
    inline_limit_tokens: int = 1_000_000


class _Asked(Struct, frozen=True):
    """One request, admitted and understood."""

    request: ChatRequest
    at: datetime
    model: Model
    engine: Engine
    conversations: tuple[Conversation, ...]

    @property
    def file_ids(self) -> tuple[str, ...]:
        """The ids of the files of all conversations, each once."""
        return tuple(dict.fromkeys(file_id for one in self.conversations for file_id in one.file_ids))


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
        in_use: FilesInUse,
        metering: Metering,
    ) -> None:
        """Wire the rooms that a chat crosses; owns none of them. ``in_use`` is shared with who deletes files."""
        self._catalog = catalog
        self._attachments = Attachments(files, blobs, ingest)
        self._in_use = in_use
        self._reader = reader
        self._counter = counter
        self._options = options
        self._metering = metering

    async def answer(self, request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
        """Answer a request: Progress while it waits, Deltas, one Finish. Closing the iterator stops all work for it.

        Files that must be waited for are found again afterwards. So is a beginning that is gone when it is to be read:
        the whole document has taken its place.

        Raises:
            ModelNotFound, ModelUnavailable: nothing stands behind the name.
            ConversationError: a document cannot be read.
            TokenRateExceeded: the files are found and counted, and are more than the workspace may use now.
            EngineError: before the first Delta or after it.
            Overloaded: what was used cannot be written down.
        """
        asked_at = self._metering.clock()
        model, engine = self._catalog.answering(request.model)
        request = meet(request, model, engine, self._counter)
        conversations = [await self._understand(messages) for messages in (request.messages, *request.further)]
        asked = _Asked(request, asked_at, model, engine, tuple(conversations))
        if len(asked.file_ids) > MAX_FILES:
            raise TooManyFiles
        deadline = asyncio.get_running_loop().time() + self._options.parse_wait_s
        can_retry, is_known = request.wants_partial and not request.further, False
        while True:
            with self._in_use.use(request.workspace, asked.file_ids) as use:
                try:
                    found = await self._find(asked, is_known=is_known)
                    if not found.pending:
                        async with aclosing(self._read(asked, found.attachments, use)) as events:
                            async for event in events:
                                yield event
                        return
                except FileGone:
                    if not can_retry or use.is_over:
                        raise
                    can_retry, is_known = False, True
                    continue
            is_known = True
            waiting = self._attachments.wait(found.pending, wants_partial=request.wants_partial, deadline=deadline)
            async with aclosing(waiting):
                async for progress in waiting:
                    yield progress

    async def _understand(self, messages: Sequence[Message]) -> Conversation:
        """Sort the messages; a long text is sorted in a thread, away from other requests."""
        if sum(len(message.content) for message in messages) <= ON_LOOP_CHARS:
            return read_conversation(messages, count=self._counter.count)
        return await asyncio.to_thread(read_conversation, messages, count=self._counter.count)

    async def _find(self, asked: _Asked, *, is_known: bool) -> Found:
        """Find the files of a conversation; one that was there before, ``is_known``, and is missing now is gone."""
        request = asked.request
        try:
            return await self._attachments.find(request.workspace, asked.file_ids, wants_partial=request.wants_partial)
        except InvalidFile as error:
            if is_known:
                raise FileGone(error.file_id) from error
            raise

    async def _read(
        self, asked: _Asked, attachments: Mapping[str, Attachment], use: Use
    ) -> AsyncGenerator[ChatEvent, None]:
        """Answer from files that can be read; ``use`` ends when they are no longer needed."""
        request = asked.request
        n_input = await self._count_input(asked, attachments)
        output = OutputCount(self._counter, request.sampling.n_choices * len(asked.conversations))
        first, *others = (_reading(asked, conversation, attachments) for conversation in asked.conversations)
        answering = (
            answer_in_turn(self._reader, (first, *others), asked.engine)
            if others
            else self._reader.answer(first, asked.engine)
        )
        async with self._meter(asked, n_input, output) as meter, aclosing(answering) as events:
            async for event in events:
                if isinstance(event, Delta):
                    if output.add(event):
                        meter.began()
                    yield _counted(event, n_input, output.n_certain()) if request.counts_deltas else event
                elif isinstance(event, ReadingFinish):
                    reading_finish = structs.replace(event, sources=_with_parsed(event.sources, attachments))
                    finish = self._finish(reading_finish, asked, n_input=n_input, n_output=await output.total())
                    await meter.finish(finish.usage)
                    yield finish
                elif isinstance(event, EvidenceFound):
                    use.end()
                else:
                    yield event

    def _meter(self, asked: _Asked, n_input: int, output: OutputCount) -> Meter:
        request, n_max = asked.request, asked.request.sampling.max_tokens
        record = UsageRecord(
            request_id=request.request_id,
            workspace=request.workspace,
            key_id=request.key_id,
            model=request.model,
            model_served=asked.model.served_name,
            operation=request.operation,
            surface=request.surface,
            is_streamed=request.is_streamed,
            n_input=n_input,
            is_estimated=not self._counter.is_exact,
            file_ids=asked.file_ids,
            at=asked.at,
        )
        limited_as = None if request.is_exempt else asked.model.name
        n_answers = request.sampling.n_choices * len(asked.conversations)
        n_expected = (EXPECTED_ANSWER_TOKENS if n_max is None else n_max) * n_answers
        return self._metering.begin(record, limited_as=limited_as, n_expected=n_expected, count=output.n_certain)

    async def _count_input(self, asked: _Asked, attachments: Mapping[str, Attachment]) -> int:
        """Count the request as ChatML with every reference replaced by its document (PROTOCOL.md §6.5).

        The JSON of tools counts as it came.
        """
        request, n_input = asked.request, 0
        for conversation in asked.conversations:
            counted: list[tuple[str, int]] = []
            for part in conversation.parts:
                n_text = await self._count(part.text)
                if part.role == "system" and n_text > self._options.inline_limit_tokens:
                    raise InputTooLong(f"Range of input length should be [1, {self._options.inline_limit_tokens}]")
                counted.append((part.role, n_text + sum(attachments[file_id].n_tokens for file_id in part.file_ids)))
            n_input += count_chat(self._counter, counted, is_open=request.messages[-1].is_partial)
        if request.form.tools:
            n_input += await self._count(request.form.tools.decode())
        if request.form.format == "json_object":
            n_input += JSON_MODE_TOKENS
        if n_input > MAX_TOTAL_TOKENS:
            raise InputTooLong(f"Total message token length exceed model limit ({MAX_TOTAL_TOKENS} tokens).")
        return n_input

    async def _count(self, text: str) -> int:
        if len(text) <= ON_LOOP_CHARS:
            return self._counter.count(text)
        return await asyncio.to_thread(self._counter.count, text)

    def _finish(self, reading: ReadingFinish, asked: _Asked, *, n_input: int, n_output: int) -> Finish:
        request, model = asked.request, asked.model
        engine_usage = reading.engine_usage
        usage = Usage(
            n_input_tokens=n_input,
            n_output_tokens=n_output,
            n_read_tokens=reading.evidence.n_tokens_read,
            n_cached_tokens=engine_usage.n_cached_tokens if engine_usage else 0,
            is_estimated=not self._counter.is_exact,
        )
        if engine_usage is not None and reading.is_usage_told:
            usage = structs.replace(
                usage, n_input_tokens=engine_usage.n_input_tokens, n_output_tokens=engine_usage.n_output_tokens
            )
        is_partial = any(source.parsed is not None for source in reading.sources)
        report = _report(reading, model) if request.wants_report or is_partial else None
        served = model.served_name if model.is_substitute else request.model
        reason, *others = reading.reasons
        return Finish(reason=reason, other_reasons=tuple(others), usage=usage, model_served=served, report=report)


def _reading(asked: _Asked, conversation: Conversation, attachments: Mapping[str, Attachment]) -> ReadingRequest:
    request = asked.request
    return ReadingRequest(
        workspace=request.workspace,
        question=conversation.question,
        history=conversation.history,
        following=conversation.following,
        behavior=conversation.behavior,
        sources=_sources(request.workspace, conversation, attachments),
        sampling=request.sampling,
        form=request.form,
        citations=request.citations or asked.model.citations,
        model=asked.model.served_name,
    )


def _sources(workspace: str, conversation: Conversation, attachments: Mapping[str, Attachment]) -> tuple[Source, ...]:
    return tuple(
        _file_source(attachments[document.file_id], position)
        if isinstance(document, FileReference)
        else Source(document=position, workspace=workspace, inline=document.text)
        for position, document in enumerate(conversation.documents)
    )


def _file_source(attachment: Attachment, position: int) -> Source:
    file = attachment.file
    return Source(
        document=position,
        workspace=file.workspace,
        file_id=file.id,
        filename=file.filename,
        artifact=str(attachment.artifact),
        n_tokens=attachment.n_tokens,
    )


def _counted(delta: Delta, n_input: int, n_output: int) -> Delta:
    return structs.replace(delta, n_input_tokens=n_input, n_output_tokens=n_output)


def _with_parsed(sources: Sequence[SourceReport], attachments: Mapping[str, Attachment]) -> tuple[SourceReport, ...]:
    """Say of each file that was not whole how much of it there was."""
    return tuple(
        structs.replace(source, parsed=attachments[source.file_id].parsed) if source.file_id else source
        for source in sources
    )


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
