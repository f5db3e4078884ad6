"""What every ``FileStore`` keeps as the queue of ingestion: one holder, fences, leases, publish by compare-and-set."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from msgspec.structs import replace

from factories.storage import NOON, WORKSPACE, make_file
from longscroll.errors import DocumentErrorKind
from longscroll.storage.base import Claim, FileStore, Outcome
from longscroll.types import File, FileStatus, Progress, Readable

PROCESSED = Outcome(status=FileStatus.PROCESSED, n_pages=3, n_chars=900, n_tokens=300)
LEASE_S = 30.0
HALF = Progress(stage="parsing", n_done=5, n_total=10, per_s=2.5, left_s=2.0, readable=Readable(n_done=3, n_tokens=900))


async def claim(files: FileStore, *, owner: str = "parser-1", after_s: float = 0) -> Claim | None:
    return await files.claim(owner, now=NOON + timedelta(seconds=after_s), lease_s=LEASE_S)


async def test_a_workspace_of_which_the_owner_has_its_share_is_passed_over(files: FileStore) -> None:
    for workspace in ("a", "a", "a", "b"):
        await files.add(make_file(workspace=workspace, size_bytes=1 if workspace == "a" else 9))
    claims = [await files.claim("parser-1", now=NOON, lease_s=LEASE_S, share=1) for _ in range(3)]
    assert [taken and taken.file.workspace for taken in claims] == ["a", "b", None]
    other = await files.claim("parser-2", now=NOON, lease_s=LEASE_S, share=1)
    assert other is not None


async def claimed(files: FileStore, *, owner: str = "parser-1", after_s: float = 0) -> Claim:
    taken = await claim(files, owner=owner, after_s=after_s)
    assert taken is not None
    return taken


async def found(files: FileStore, file: File) -> File:
    stored = await files.get(file.workspace, file.id)
    assert stored is not None
    return stored


async def test_a_claim_names_its_owner_its_fence_and_its_end(files: FileStore) -> None:
    file = await files.add(make_file())
    taken = await claimed(files)
    assert taken == Claim(
        file=replace(file, attempt=1), owner="parser-1", fence=1, lease_until=NOON + timedelta(seconds=LEASE_S)
    )


async def test_with_nothing_waiting_there_is_nothing_to_claim(files: FileStore) -> None:
    assert await claim(files) is None


async def test_small_files_are_claimed_first_and_equal_ones_in_upload_order(files: FileStore) -> None:
    added = [await files.add(make_file(size_bytes=size)) for size in (500, 20, 500, 1)]
    order = [(await claimed(files)).file.id for _ in added]
    assert order == [added[n].id for n in (3, 1, 0, 2)]


async def test_the_workspace_with_the_fewest_claimed_files_comes_first(files: FileStore) -> None:
    for workspace in ("acme", "acme", "acme", "umbrella", "umbrella"):
        await files.add(make_file(workspace=workspace, size_bytes=9 if workspace == "umbrella" else 1))
    order = [(await claimed(files)).file.workspace for _ in range(5)]
    assert order == ["acme", "umbrella", "acme", "umbrella", "acme"]


async def test_of_workspaces_alike_the_one_whose_file_came_first_has_its_turn(files: FileStore) -> None:
    for workspace in ("b", "c", "a"):
        await files.add(make_file(workspace=workspace))
    assert [(await claimed(files)).file.workspace for _ in range(3)] == ["b", "c", "a"]


async def test_a_lease_that_is_past_or_ended_no_longer_counts_against_its_workspace(files: FileStore) -> None:
    acme = [await files.add(make_file(size_bytes=size)) for size in (1, 2)]
    umbrella = [await files.add(make_file(workspace="umbrella", size_bytes=size)) for size in (3, 4)]
    await files.publish(await claimed(files), PROCESSED)
    assert (await claimed(files)).file.id == acme[1].id
    order = [(await claimed(files, after_s=LEASE_S)).file.id for _ in range(3)]
    assert order == [acme[1].id, umbrella[0].id, umbrella[1].id]


async def test_a_file_that_is_deleted_while_it_is_claimed_still_counts_against_its_workspace(files: FileStore) -> None:
    deleted = await files.add(make_file(size_bytes=1))
    await files.add(make_file(size_bytes=2))
    await files.add(make_file(workspace="umbrella", size_bytes=3))
    await claimed(files)
    await files.mark_deleting(WORKSPACE, deleted.id)
    assert (await claimed(files)).file.workspace == "umbrella"


async def test_many_who_claim_at_once_never_share_a_file(files: FileStore) -> None:
    added = [await files.add(make_file()) for _ in range(10)]
    taken = await asyncio.gather(*(claim(files, owner=f"parser-{n}") for n in range(25)))
    assert sorted(c.file.id for c in taken if c is not None) == sorted(file.id for file in added)


async def test_a_lease_holds_until_its_last_moment(files: FileStore) -> None:
    await files.add(make_file())
    await claimed(files)
    assert await claim(files, owner="parser-2", after_s=LEASE_S - 0.000001) is None
    second = await claimed(files, owner="parser-2", after_s=LEASE_S)
    assert (second.fence, second.file.attempt) == (2, 2)


async def test_a_renewed_lease_holds_longer(files: FileStore) -> None:
    await files.add(make_file())
    first = await claimed(files)
    assert await files.renew(first, now=NOON + timedelta(seconds=20), lease_s=LEASE_S) is True
    assert await claim(files, owner="parser-2", after_s=40) is None
    assert await claim(files, owner="parser-2", after_s=50) is not None


async def test_a_late_holder_may_renew_while_nobody_else_has_claimed(files: FileStore) -> None:
    await files.add(make_file())
    late = await claimed(files)
    assert await files.renew(late, now=NOON + timedelta(seconds=100), lease_s=LEASE_S) is True


async def test_publishing_writes_the_final_state_once(files: FileStore) -> None:
    file = await files.add(make_file())
    taken = await claimed(files)
    assert await files.publish(taken, PROCESSED) is True
    assert await files.get(WORKSPACE, file.id) == replace(
        file, status=FileStatus.PROCESSED, n_pages=3, n_chars=900, n_tokens=300, attempt=1
    )
    assert await files.publish(taken, Outcome(status=FileStatus.ERROR)) is False
    assert await claim(files, after_s=3600) is None


async def test_an_error_is_published_with_its_kind_and_its_sentence(files: FileStore) -> None:
    file = await files.add(make_file())
    outcome = Outcome(
        status=FileStatus.ERROR, status_details="A password is needed.", error_kind=DocumentErrorKind.ENCRYPTED
    )
    await files.publish(await claimed(files), outcome)
    assert await found(files, file) == replace(
        file,
        status=FileStatus.ERROR,
        status_details="A password is needed.",
        error_kind=DocumentErrorKind.ENCRYPTED,
        attempt=1,
    )


async def test_a_lost_claim_can_neither_renew_nor_publish(files: FileStore) -> None:
    file = await files.add(make_file())
    lost = await claimed(files)
    holder = await claimed(files, owner="parser-2", after_s=LEASE_S)
    assert await files.renew(lost, now=NOON, lease_s=LEASE_S) is False
    assert await files.publish(lost, Outcome(status=FileStatus.ERROR)) is False
    assert await files.publish(holder, PROCESSED) is True
    assert (await found(files, file)).status is FileStatus.PROCESSED


async def test_an_owner_that_claims_its_own_file_again_loses_the_first_claim(files: FileStore) -> None:
    await files.add(make_file())
    first = await claimed(files)
    second = await claimed(files, after_s=LEASE_S)
    assert [await files.publish(first, PROCESSED), await files.publish(second, PROCESSED)] == [False, True]


async def test_deletion_takes_a_claim_away(files: FileStore) -> None:
    file = await files.add(make_file())
    taken = await claimed(files)
    await files.mark_deleting(WORKSPACE, file.id)
    assert await files.renew(taken, now=NOON, lease_s=LEASE_S) is False
    assert await files.publish(taken, PROCESSED) is False
    assert await claim(files, after_s=3600) is None
    assert [left.status for left in await files.being_deleted()] == [FileStatus.DELETING]


async def test_a_removed_file_cannot_be_published(files: FileStore) -> None:
    file = await files.add(make_file())
    taken = await claimed(files)
    await files.mark_deleting(WORKSPACE, file.id)
    await files.remove(WORKSPACE, file.id)
    assert await files.publish(taken, PROCESSED) is False


async def test_a_claim_that_is_given_back_costs_no_attempt_and_holds_nothing(files: FileStore) -> None:
    file = await files.add(make_file())
    given_back = await claimed(files)
    await files.release(given_back)
    assert await files.get(WORKSPACE, file.id) == file
    assert await files.publish(given_back, PROCESSED) is False
    next_one = await claimed(files, owner="parser-2")
    assert (next_one.fence, next_one.file.attempt) == (2, 1)


async def test_giving_back_a_lost_claim_leaves_its_new_holder_alone(files: FileStore) -> None:
    await files.add(make_file())
    lost = await claimed(files)
    holder = await claimed(files, owner="parser-2", after_s=LEASE_S)
    await files.release(lost)
    assert await files.publish(holder, PROCESSED) is True


async def test_a_holder_says_how_far_it_is_and_the_last_word_stays_until_its_claim_ends(files: FileStore) -> None:
    file = await files.add(make_file())
    holder = await claimed(files)
    assert await files.renew(holder, now=NOON, lease_s=LEASE_S, progress=HALF) is True
    assert await files.renew(holder, now=NOON, lease_s=LEASE_S) is True
    assert await files.get_many(WORKSPACE, [file.id]) == {file.id: replace(file, attempt=1, progress=HALF)}
    await files.publish(holder, PROCESSED)
    assert (await found(files, file)).progress is None


async def test_a_new_holder_and_one_who_gives_back_begin_from_nothing(files: FileStore) -> None:
    file = await files.add(make_file())
    await files.renew(await claimed(files), now=NOON, lease_s=LEASE_S, progress=HALF)
    second = await claimed(files, owner="parser-2", after_s=LEASE_S)
    assert (second.file.progress, await found(files, file)) == (None, replace(file, attempt=2))
    await files.renew(second, now=NOON, lease_s=LEASE_S, progress=HALF)
    await files.release(second)
    assert await found(files, file) == replace(file, attempt=1)


async def test_a_lost_claim_says_nothing_more(files: FileStore) -> None:
    file = await files.add(make_file())
    lost = await claimed(files)
    await claimed(files, owner="parser-2", after_s=LEASE_S)
    assert await files.renew(lost, now=NOON, lease_s=LEASE_S, progress=HALF) is False
    assert (await found(files, file)).progress is None


async def test_who_parses_a_deleted_file_has_it_until_they_let_go(files: FileStore) -> None:
    file = await files.add(make_file())
    holder = await claimed(files)
    await files.mark_deleting(WORKSPACE, file.id)
    held = await files.is_claimed(WORKSPACE, file.id, now=NOON)
    await files.release(holder)
    assert (held, await files.is_claimed(WORKSPACE, file.id, now=NOON)) == (True, False)
    assert await claim(files) is None


async def test_a_file_is_claimed_until_its_lease_is_past_and_a_foreign_one_never(files: FileStore) -> None:
    file = await files.add(make_file())
    before = await files.is_claimed(WORKSPACE, file.id, now=NOON)
    await claimed(files)
    moments = [NOON + timedelta(seconds=after_s) for after_s in (0, LEASE_S - 0.000001, LEASE_S)]
    during = [await files.is_claimed(WORKSPACE, file.id, now=moment) for moment in moments]
    assert (before, during) == (False, [True, True, False])
    assert await files.is_claimed("umbrella", file.id, now=NOON) is False


async def test_owners_are_all_who_have_a_lease_even_a_past_one_or_of_a_deleted_file(files: FileStore) -> None:
    added = [await files.add(make_file(size_bytes=size)) for size in (1, 2, 3)]
    await claimed(files, owner="parser-1")
    await claimed(files, owner="parser-2")
    await files.release(await claimed(files, owner="parser-3"))
    await files.mark_deleting(WORKSPACE, added[1].id)
    assert await files.owners() == {"parser-1", "parser-2"}


async def test_what_a_dead_owner_had_is_free_at_once_and_its_attempt_counts(files: FileStore) -> None:
    file = await files.add(make_file())
    dead = await claimed(files)
    await files.renew(dead, now=NOON, lease_s=LEASE_S, progress=HALF)
    assert await files.forfeit({"parser-1", "nobody"}) == 1
    assert (await found(files, file), await files.owners()) == (replace(file, attempt=1), set())
    assert await files.renew(dead, now=NOON, lease_s=LEASE_S) is False
    second = await claimed(files, owner="parser-2")
    assert (second.fence, second.file.attempt) == (2, 2)


async def test_only_the_dead_forfeit_their_leases_and_those_of_deleted_files_too(files: FileStore) -> None:
    added = [await files.add(make_file(size_bytes=size)) for size in (1, 2, 3)]
    for owner in ("parser-1", "parser-1", "parser-2"):
        await claimed(files, owner=owner)
    await files.mark_deleting(WORKSPACE, added[1].id)
    assert (await files.forfeit([]), await files.forfeit(["parser-1"])) == (0, 2)
    held = [await files.is_claimed(WORKSPACE, file.id, now=NOON) for file in added]
    assert held == [False, False, True]


async def test_a_file_that_has_ended_can_be_ingested_anew(files: FileStore) -> None:
    file = await files.add(make_file())
    outcome = Outcome(
        status=FileStatus.ERROR, status_details="It broke.", error_kind=DocumentErrorKind.CORRUPT, n_pages=1
    )
    await files.publish(await claimed(files), outcome)
    assert await files.requeue(WORKSPACE, file.id) is True
    assert await found(files, file) == file
    again = await claimed(files)
    assert (again.fence, again.file.attempt) == (2, 1)


async def test_only_a_file_that_has_ended_is_ingested_anew(files: FileStore) -> None:
    waiting, deleted = [await files.add(make_file(size_bytes=size)) for size in (2, 1)]
    await files.publish(await claimed(files), PROCESSED)
    await files.mark_deleting(WORKSPACE, deleted.id)
    places = [(WORKSPACE, waiting.id), (WORKSPACE, deleted.id), ("umbrella", waiting.id), (WORKSPACE, "file-fe-none")]
    assert [await files.requeue(*place) for place in places] == [False] * 4
