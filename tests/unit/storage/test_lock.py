from __future__ import annotations

import os
from pathlib import Path

import pytest

from longscroll.errors import StartupError
from longscroll.storage.lock import LOCK_NAME, Door, FolderLock, is_held


def test_a_second_holder_is_told_who_the_first_is_and_what_to_do(tmp_path: Path) -> None:
    with FolderLock(tmp_path), pytest.raises(StartupError) as refusal:
        FolderLock(tmp_path).acquire()
    assert str(refusal.value) == (
        f"{tmp_path} is already in use by process {os.getpid()}; stop it or choose another --data-dir."
    )


def test_a_released_lock_can_be_taken_again(tmp_path: Path) -> None:
    with FolderLock(tmp_path):
        pass
    with FolderLock(tmp_path) as lock:
        assert lock.folder == tmp_path


def test_folders_are_locked_one_by_one(tmp_path: Path) -> None:
    with FolderLock(tmp_path / "a"), FolderLock(tmp_path / "b"):
        assert not FolderLock(tmp_path / "a").try_acquire()


def test_releasing_twice_is_harmless(tmp_path: Path) -> None:
    lock = FolderLock(tmp_path)
    lock.acquire()
    lock.release()
    lock.release()
    assert FolderLock(tmp_path).try_acquire()


def test_turns_exclude_each_other_and_say_nothing_of_a_holder(tmp_path: Path) -> None:
    lock = FolderLock(tmp_path)
    with lock.turn():
        assert not FolderLock(tmp_path).try_acquire()
    assert (tmp_path / "lock").read_bytes() == b""
    assert FolderLock(tmp_path).try_acquire()


def test_a_lock_is_held_while_its_holder_has_it(tmp_path: Path) -> None:
    path = tmp_path / LOCK_NAME
    before = is_held(path)
    with FolderLock(tmp_path):
        during = (is_held(path), is_held(path))
    assert (before, during, is_held(path)) == (False, (True, True), False)


def test_one_at_a_time_stands_in_a_door(tmp_path: Path) -> None:
    one, other = Door(tmp_path / "door"), Door(tmp_path / "door")
    with one.standing(timeout_s=0), pytest.raises(TimeoutError), other.standing(timeout_s=0.01):
        pass
    with other.standing(timeout_s=0):
        assert is_held(tmp_path / "door")
    one.close()
    other.close()
