"""kill -9 of the service's own processes while it works: nothing that it promised is lost, and it goes on."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from factories.families import Family, is_alive
from factories.http import Client
from factories.running import RunningService

BEES = "The lighthouse of Quarrel Point was lit in 1871.\n\nIts keeper, Ada Thornbury, kept bees in the lamp room.\n"
LONG = BEES + "".join(
    f"In the log of day {n} the sea was calm, the wind was {n % 7}, the lamp burned.\n" for n in range(30_000)
)
Choose = Callable[[Family], list[psutil.Process]]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    with RunningService(tmp_path_factory.mktemp("kill") / "data") as running:
        yield running


@pytest.fixture(scope="module")
def file_id(service: RunningService) -> str:
    client = Client(service)
    file_id = client.upload("lighthouse.txt", BEES.encode())
    client.parsed(file_id)
    return file_id


def until(condition: Callable[[], bool], *, within_s: float = 10) -> None:
    end = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < end, f"not so within {within_s} s"
        time.sleep(0.005)


def kill(victims: list[psutil.Process]) -> list[psutil.Process]:
    """Kill processes; return them with the descendants that they had."""
    ended = [*victims, *(child for victim in victims for child in victim.children(recursive=True))]
    for victim in victims:
        victim.kill()
    return ended


def about_bees(client: Client, file_id: str) -> str:
    return str(client.ask("Who kept bees?", file_id)["content"])


def test_a_question_after_every_idle_reader_was_killed_is_answered(service: RunningService, file_id: str) -> None:
    kill(service.family.readers())
    assert "Ada Thornbury" in about_bees(Client(service), file_id)
    until(lambda: len(service.family.readers()) > 0)


def test_questions_that_lose_their_readers_are_answered_by_others(service: RunningService, file_id: str) -> None:
    with ThreadPoolExecutor(6) as pool:
        asking = [pool.submit(about_bees, Client(service), file_id) for _ in range(24)]
        until(lambda: sum(answer.done() for answer in asking) >= 4)
        kill(service.family.readers())
        assert all("Ada Thornbury" in answer.result() for answer in asking)


@pytest.mark.item(75)
@pytest.mark.parametrize("choose", [Family.children, Family.zygotes])
def test_uploads_and_waiting_questions_survive_their_parser(service: RunningService, choose: Choose) -> None:
    client = Client(service)
    uploaded = [client.upload(f"log-{n}.txt", LONG.encode()) for n in range(3)]
    with ThreadPoolExecutor(1) as pool:
        until(lambda: len(service.family.children()) > 0)
        asking = pool.submit(about_bees, client, uploaded[0])
        ended = kill(choose(service.family))
        assert [client.parsed(file_id)["status"] for file_id in uploaded] == ["processed"] * 3
        assert "Ada Thornbury" in asking.result()
    assert ended
    until(lambda: not any(is_alive(process) for process in ended))


def test_after_every_kind_of_loss_it_ends_well_and_leaves_no_process(tmp_path: Path) -> None:
    with RunningService(tmp_path / "data") as running:
        client = Client(running)
        file_id = client.upload("log.txt", LONG.encode())
        until(lambda: len(running.family.children()) > 0)
        seen = kill([*running.family.readers(), *running.family.zygotes()])
        assert "Ada Thornbury" in about_bees(client, file_id)
        seen += running.family.members()
        assert running.stop() == 0
    until(lambda: not any(is_alive(process) for process in seen))


@pytest.mark.slow
def test_files_that_wait_are_read_at_once_after_a_restart_whose_model_server_is_silent(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/v1"
        arguments = ["--upstream", url, "--upstream-model", "m"]
        with RunningService(tmp_path / "data") as first:
            uploaded = [Client(first).upload(f"{n}.txt", LONG.encode()) for n in range(6)]
            first.kill()
        with RunningService(tmp_path / "data", arguments=arguments) as second:
            statuses = [Client(second).parsed(file_id)["status"] for file_id in uploaded]
            assert (statuses, "no_parser" in second.log_path.read_text()) == (["processed"] * 6, False)


@pytest.mark.slow
def test_a_parser_process_that_hangs_is_replaced_and_no_file_is_blamed(tmp_path: Path) -> None:
    with RunningService(tmp_path / "data") as running:
        client = Client(running)
        client.parsed(client.upload("first.txt", BEES.encode()))
        [hanging] = running.family.zygotes()
        hanging.suspend()
        file = client.parsed(client.upload("second.txt", BEES.encode()))
        assert (file["status"], is_alive(hanging)) == ("processed", False)
