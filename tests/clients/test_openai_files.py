"""Files by unchanged openai clients: one program per version, one test per thing it says."""

from __future__ import annotations

from typing import Any

import pytest

from factories.client_programs import DOCUMENTS, PROGRAMS, results, run_program
from factories.running import RunningService

pytestmark = pytest.mark.client("openai-2023", "openai-latest")

Said = dict[str, Any]


@pytest.fixture(scope="module")
def said(service: RunningService, client_set: str) -> Said:
    url = f"{service.url}/compatible-mode/v1"
    return results(run_program(service, client_set, PROGRAMS / "openai_files.py", url, service.key, DOCUMENTS))


@pytest.mark.item(12, 64, 65)
@pytest.mark.shows("files")
def test_an_upload_is_a_file_object(said: Said) -> None:
    file = said["uploaded"]
    created_at = file.pop("created_at")
    extra = {name: file.pop(name, None) for name in ("expires_at", "status_details", "longscroll")}
    size = (DOCUMENTS / "年度报告.pdf").stat().st_size
    assert file["id"].startswith("file-fe-")
    assert file == {
        "id": file["id"],
        "object": "file",
        "bytes": size,
        "filename": "年度报告.pdf",
        "purpose": "file-extract",
        "status": file["status"],
    }
    assert (type(created_at), file["status"] in {"uploaded", "processed"}) == (int, True)
    assert extra["expires_at"] is None


@pytest.mark.item(69)
@pytest.mark.shows("files")
def test_waiting_for_the_parse_returns(said: Said) -> None:
    assert (said["parsed"]["status"], said["parsed"]["id"]) == ("processed", said["uploaded"]["id"])


@pytest.mark.item(66)
def test_a_file_is_retrieved_as_it_was_uploaded(said: Said) -> None:
    assert said["retrieved"] == said["parsed"]


@pytest.mark.item(119)
def test_the_content_is_the_text_of_the_document(said: Said) -> None:
    assert "自助借还机的保修期为24个月" in said["content"]


@pytest.mark.item(74)
def test_the_same_file_twice_is_two_files(said: Said) -> None:
    first, second = said["twins"]
    assert first != second
    assert (said["deleted"]["id"], said["other_twin"]["id"]) == (first, second)


@pytest.mark.item(67)
def test_the_list_begins_with_the_newest(said: Said) -> None:
    first, second = said["twins"]
    assert said["listed_first"] == [second, first, said["uploaded"]["id"]]


@pytest.mark.item(67)
@pytest.mark.shows("files")
def test_paging_ends_and_repeats_nothing(said: Said, client_set: str) -> None:
    n_paged, n_distinct, n_listed = said["n_paged_and_listed"]
    is_one_page = client_set == "2023"  # openai 1.0.0 reads one page and stops
    assert (n_paged, n_distinct) == ((2, 2) if is_one_page else (n_listed, n_listed))


@pytest.mark.item(66)
def test_a_deletion_says_so_and_is_final(said: Said) -> None:
    deleted_id = said["twins"][0]
    assert said["deleted"] == {"id": deleted_id, "object": "file", "deleted": True}
    assert said["deleted_again"]["inner"] == {
        "message": f"No such File object: {deleted_id}",
        "type": "invalid_request_error",
        "param": "id",
        "code": "file_not_found",
    }


@pytest.mark.item(58, 66)
def test_an_unknown_file_is_not_found(said: Said) -> None:
    error = said["retrieved_unknown"]
    assert (error["class"], error["status"], error["inner"]["code"]) == ("NotFoundError", 404, "file_not_found")


@pytest.mark.item(68)
@pytest.mark.shows("errors")
def test_another_purpose_is_refused(said: Said) -> None:
    error = said["wrong_purpose"]
    assert (error["class"], error["inner"]["param"]) == ("BadRequestError", "purpose")
    assert error["inner"]["message"] == "'purpose' must be 'file-extract'"
