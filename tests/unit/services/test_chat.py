"""What a chat admits, waits for and bills."""

from __future__ import annotations

import asyncio

import pytest

from factories.service import WORKSPACE, local_service
from factories.storage import make_file, put_blob
from longscroll.engines.scripted import Rule, Scripted
from longscroll.errors import (
    FileNotParsed,
    FileUnreadable,
    InputTooLong,
    InvalidFile,
    ModelNotFound,
    ModelUnavailable,
)
from longscroll.services.chat import ChatOptions
from longscroll.storage.base import ARTIFACT, blob_prefix
from longscroll.tokens import count_chat, load_counter
from longscroll.types import ChatEvent, Delta, FileStatus, Finish, Progress

BEES = "The lighthouse was lit in 1871.\n\nIts keeper, Ada Thornbury, kept bees in the lamp room.\n"


def text_of(events: list[ChatEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, Delta))


def end_of(events: list[ChatEvent]) -> Finish:
    assert isinstance(events[-1], Finish)
    return events[-1]


async def test_a_question_about_a_file_is_answered_from_it() -> None:
    async with local_service() as service:
        file = await service.parsed(BEES)
        events = await service.ask(("system", f"fileid://{file.id}"), ("user", "Who kept bees?"))
    assert "Ada Thornbury" in text_of(events)
    report = end_of(events).report
    assert report is not None
    assert (report.plan, report.abstained, report.sources[0].file_id) == ("lookup", False, file.id)


@pytest.mark.item(90)
async def test_every_call_bills_the_whole_document() -> None:
    async with local_service() as service:
        file = await service.parsed(BEES * 50)
        events = await service.ask(("system", f"fileid://{file.id}"), ("user", "Who kept bees?"))
    assert file.n_tokens is not None
    assert file.n_tokens < end_of(events).usage.n_input_tokens < file.n_tokens + 40


@pytest.mark.item(33)
async def test_output_tokens_never_fall_and_end_at_the_count_of_the_text() -> None:
    deltas = ("inter", "nat", "ional ", "水", "资源", "。", " It's 42", ".5 %")
    async with local_service(engine=Scripted([Rule(deltas=deltas)])) as service:
        events = await service.ask(("user", "go"), model="scripted")
    counts = [event.n_output_tokens for event in events if isinstance(event, Delta)]
    assert counts == sorted(counts)
    assert counts[-1] <= end_of(events).usage.n_output_tokens


@pytest.mark.item(33)
async def test_the_end_bills_a_last_word_that_the_running_count_could_not_yet_count() -> None:
    deltas = ("The keeper ", "was an antidisestablishmentarian")
    async with local_service(engine=Scripted([Rule(deltas=deltas)])) as service:
        events = await service.ask(("user", "go"), model="scripted")
    counts = [event.n_output_tokens for event in events if isinstance(event, Delta)]
    n_whole = load_counter().count("".join(deltas))
    assert counts[-1] < n_whole
    assert end_of(events).usage.n_output_tokens == n_whole


@pytest.mark.item(90)
async def test_a_file_that_two_messages_name_is_billed_once() -> None:
    counter, question = load_counter(), "Who kept bees?"
    async with local_service() as service:
        file = await service.parsed(BEES * 50)
        reference = ("system", f"fileid://{file.id}")
        events = await service.ask(reference, reference, ("user", question))
    assert file.n_tokens is not None
    billed = [("system", file.n_tokens), ("system", 0), ("user", counter.count(question))]
    assert end_of(events).usage.n_input_tokens == count_chat(counter, billed)


@pytest.mark.item(70)
async def test_a_chat_waits_for_the_parse_and_reports_progress() -> None:
    async with local_service() as service:
        service.parsers.gate.clear()
        file = await service.upload(BEES)
        asking = asyncio.create_task(service.ask(("system", f"fileid://{file.id}"), ("user", "Who kept bees?")))
        await asyncio.sleep(0.1)
        assert not asking.done()
        service.parsers.gate.set()
        events = await asking
    assert isinstance(events[0], Progress)
    assert "Ada Thornbury" in text_of(events)


@pytest.mark.item(70)
@pytest.mark.parametrize("wait_s", [0.0, 0.1])
async def test_a_wait_that_ends_too_early_has_the_documented_words(wait_s: float) -> None:
    async with local_service(chat=ChatOptions(parse_wait_s=wait_s)) as service:
        service.parsers.gate.clear()
        file = await service.upload(BEES)
        with pytest.raises(FileNotParsed, match=r"^File parsing in progress, please try again later\.$"):
            await service.ask(("system", f"fileid://{file.id}"), ("user", "?"))
        service.parsers.gate.set()


@pytest.mark.item(71)
async def test_an_unknown_and_a_foreign_file_read_the_same() -> None:
    async with local_service() as service:
        foreign = await service.parsed(BEES, workspace="other")
        for file_id in (foreign.id, "file-fe-0000", "nonsense"):
            with pytest.raises(InvalidFile) as caught:
                await service.ask(("system", f"fileid://{file_id}"), ("user", "?"))
            assert str(caught.value) == f"Invalid file [id:{file_id}]."


@pytest.mark.item(72)
async def test_a_broken_file_is_refused_with_its_words() -> None:
    async with local_service() as service:
        file = await service.parsed("broken")
        with pytest.raises(FileUnreadable) as caught:
            await service.ask(("system", f"fileid://{file.id}"), ("user", "?"))
    assert str(caught.value) == f"File [id:{file.id}] parsing error."


async def test_an_inline_document_over_the_limit_is_refused() -> None:
    async with local_service(chat=ChatOptions(inline_limit_tokens=9000)) as service:
        with pytest.raises(InputTooLong, match=r"Range of input length should be \[1, 9000\]"):
            await service.ask(("system", "Be brief."), ("system", "word " * 9001), ("user", "?"))


async def test_documents_over_the_limit_of_all_together_are_refused() -> None:
    words = r"^Total message token length exceed model limit \(10000000 tokens\)\.$"
    async with local_service() as service:
        file = await service.rows.add(make_file(status=FileStatus.PROCESSED, n_tokens=10_000_001))
        await put_blob(service.blobs, blob_prefix(file.workspace, file.id) + ARTIFACT, b"")
        with pytest.raises(InputTooLong, match=words):
            await service.ask(("system", f"fileid://{file.id}"), ("user", "?"))


@pytest.mark.item(47)
async def test_an_inline_document_is_read_and_cited_without_a_file() -> None:
    async with local_service() as service:
        events = await service.ask(("system", "Be brief."), ("system", BEES), ("user", "Who kept bees?"))
    cited = [annotation.citation for event in events if isinstance(event, Delta) for annotation in event.annotations]
    assert "Ada Thornbury" in text_of(events)
    assert {(citation.file_id, citation.filename, citation.document) for citation in cited} == {(None, None, 0)}


async def test_without_documents_the_embedded_engine_says_what_to_do() -> None:
    async with local_service() as service:
        english = text_of(await service.ask(("user", "Hello!")))
        chinese = text_of(await service.ask(("user", "你好，请介绍一下你自己")))
    assert "fileid://" in english
    assert "--upstream" in english
    assert "fileid://" in chinese
    assert "文" in chinese


async def test_names_that_cannot_answer_say_why() -> None:
    async with local_service(unavailable=["chatyuan-large-v2"]) as service:
        with pytest.raises(ModelNotFound):
            await service.ask(("user", "?"), model="absent")
        with pytest.raises(ModelUnavailable, match=r"Model is unavailable, please try again later\. Install it\."):
            await service.ask(("user", "?"), model="chatyuan-large-v2")


@pytest.mark.item(62)
async def test_behavior_documents_history_and_question_all_reach_the_engine() -> None:
    engine = Scripted([Rule(deltas=("Ada Thornbury [1]",))])
    async with local_service(engine=engine) as service:
        file = await service.parsed(BEES)
        turns = (
            ("system", "Talk like a pirate."),
            ("system", f"fileid://{file.id}"),
            ("user", "Is there a lighthouse?"),
            ("assistant", "Yes."),
            ("user", "Who kept bees?"),
        )
        events = await service.ask(*turns, model="scripted")
    prompt = "\n".join(message.content for message in engine.prompts[0].messages)
    assert all(words in prompt for words in ("Talk like a pirate.", "Ada Thornbury", "Is there a lighthouse?"))
    assert text_of(events) == "Ada Thornbury [1]"
    [annotation] = [annotation for event in events if isinstance(event, Delta) for annotation in event.annotations]
    assert annotation.citation.quote in BEES


@pytest.mark.item(46)
async def test_closing_an_answer_stops_its_engine() -> None:
    engine = Scripted([Rule(deltas=("one ", "two "), pace_s=60)])
    async with local_service(engine=engine) as service:
        asking = asyncio.create_task(service.ask(("user", "go"), model="scripted"))
        while not engine.n_running:
            await asyncio.sleep(0.01)
        asking.cancel()
        await asyncio.wait([asking])
        assert (engine.n_running, engine.n_stopped) == (0, 1)


@pytest.mark.item(105)
async def test_a_file_deleted_after_its_resolution_does_not_hurt_the_answer() -> None:
    async with local_service() as service:
        file = await service.parsed(BEES)
        turns = (("system", f"fileid://{file.id}"), ("user", "Who kept bees?"))
        before = text_of(await service.ask(*turns))
        await service.files.delete(WORKSPACE, file.id)
        with pytest.raises(InvalidFile):
            await service.ask(*turns)
    assert "Ada Thornbury" in before
