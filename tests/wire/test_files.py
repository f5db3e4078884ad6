"""Files on both surfaces, over a socket: forms, listings, what belongs to whom."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from factories.wire import FAST, FOREIGN_KEY, KEY, Reply, WireService, wire_service
from longscroll.services.files import FileOptions

COMPAT = "/compatible-mode/v1/files"
NATIVE = "/api/v1/files"
FORM = "Content-Type: multipart/form-data; boundary=XX"


def field(name: str, value: str) -> bytes:
    return f'--XX\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()


def file_part(data: bytes, disposition: str = 'name="file"; filename="a.txt"') -> bytes:
    return f"--XX\r\nContent-Disposition: form-data; {disposition}\r\n\r\n".encode() + data + b"\r\n"


PURPOSE = field("purpose", "file-extract")
PROGRESS = {
    "stage": "parsing",
    "done": 3,
    "total": 12,
    "unit": "pages",
    "rate": 1.5,
    "seconds_left": 6.1,
    "readable": {"done": 2, "tokens": 700},
}


def upload(service: WireService, *parts: bytes, path: str = COMPAT, key: str = KEY) -> Reply:
    return service.exchange("POST", path, b"".join(parts) + b"--XX--\r\n", FORM, key=key)


def uploaded(service: WireService, *parts: bytes, key: str = KEY) -> str:
    found: str = json.loads(upload(service, *(parts or (PURPOSE, file_part(b"text"))), key=key).body)["id"]
    return found


def get(service: WireService, path: str, method: str = "GET", key: str = KEY) -> tuple[int, Any]:
    reply = service.exchange(method, path, key=key)
    return reply.status, json.loads(reply.body)


@pytest.mark.item(9)
def test_the_parts_of_a_form_may_come_in_any_order(service: WireService) -> None:
    replies = [upload(service, PURPOSE, file_part(b"x")), upload(service, file_part(b"x"), field("more", ""), PURPOSE)]
    assert [reply.status for reply in replies] == [200, 200]


@pytest.mark.item(65)
@pytest.mark.parametrize(
    ("disposition", "filename"),
    [
        ('name="file"; filename="年报 2024.pdf"', "年报 2024.pdf"),
        ('name="file"; filename="x"; filename*=UTF-8\'\'%E5%B9%B4%E6%8A%A5.pdf', "年报.pdf"),
        ('name="file"; filename="a%22b%0Dc%0Ad.txt"', 'a"bcd.txt'),
        ('name="file"; filename="100%25 of%20it.txt"', "100%25 of%20it.txt"),
        ('name="file"; filename="..\\\\..\\\\dir/a.txt"', "a.txt"),
        ("name=file; filename=a.txt", "a.txt"),
    ],
)
def test_a_filename_is_kept_without_its_folders(service: WireService, disposition: str, filename: str) -> None:
    reply = upload(service, PURPOSE, file_part(b"x", disposition))
    assert json.loads(reply.body)["filename"] == filename


@pytest.mark.parametrize(
    ("sent", "stored"),
    [("\x1b[31mred\x9b\x7f.txt", "[31mred.txt"), ("a\u202egpj.\u2066exe", "agpj.exe"), ("\x07\u202e", "file")],
)
def test_controls_are_left_out_of_names_on_both_surfaces(service: WireService, sent: str, stored: str) -> None:
    compat = json.loads(upload(service, PURPOSE, file_part(b"x", f'name="file"; filename="{sent}"')).body)
    native = json.loads(upload(service, file_part(b"x", f'name="files"; filename="{sent}"'), path=NATIVE).body)
    assert (compat["filename"], native["data"]["uploaded_files"][0]["name"]) == (stored, stored)


@pytest.mark.item(68)
@pytest.mark.parametrize(
    ("parts", "param"),
    [
        ((PURPOSE,), "file"),
        ((file_part(b"x"),), "purpose"),
        ((file_part(b"x"), field("purpose", "fine-tune")), "purpose"),
        ((PURPOSE, file_part(b"x"), file_part(b"y")), "file"),
    ],
)
def test_a_form_that_lacks_something_is_400_and_names_it(
    service: WireService, parts: tuple[bytes, ...], param: str
) -> None:
    reply = upload(service, *parts)
    assert (reply.status, json.loads(reply.body)["error"]["param"]) == (400, param)


@pytest.mark.parametrize("purpose", ["user_data", "assistants"])
def test_other_names_of_the_purpose_are_kept(service: WireService, purpose: str) -> None:
    reply = upload(service, field("purpose", purpose), file_part(b"x"))
    assert json.loads(reply.body)["purpose"] == purpose


@pytest.mark.parametrize(
    "body", [b"", b"--YY\r\n\r\n--YY--", PURPOSE + file_part(b"x"), b"--XX\r\nbad header\r\n\r\nx"]
)
def test_a_form_that_is_broken_is_400(service: WireService, body: bytes) -> None:
    assert service.exchange("POST", COMPAT, body, FORM).status == 400


def test_a_body_that_is_no_form_is_400(service: WireService) -> None:
    assert service.exchange("POST", COMPAT, b"{}", "Content-Type: application/json").status == 400


@pytest.mark.item(76)
def test_an_upload_over_the_limit_is_400_and_leaves_nothing(service: WireService) -> None:
    before = get(service, COMPAT)
    reply = upload(service, PURPOSE, file_part(b"x" * ((1 << 20) + 1)))
    error = json.loads(reply.body)["error"]
    assert (reply.status, error["code"], error["message"]) == (400, "BadRequest.TooLarge", "Payload Too Large.")
    assert get(service, COMPAT) == before


@pytest.mark.item(66)
def test_a_file_can_be_retrieved_listed_and_deleted(service: WireService) -> None:
    file_id = uploaded(service)
    status, file = get(service, f"{COMPAT}/{file_id}")
    assert (status, file["id"], file["bytes"]) == (200, file_id, 4)
    assert file in get(service, COMPAT)[1]["data"]
    deleted = {"id": file_id, "object": "file", "deleted": True}
    assert get(service, f"{COMPAT}/{file_id}", "DELETE") == (200, deleted)
    message = f"No such File object: {file_id}"
    for method in ("GET", "DELETE"):
        status, body = get(service, f"{COMPAT}/{file_id}", method)
        assert (status, body["error"]["message"], body["error"]["code"]) == (404, message, "file_not_found")


@pytest.mark.item(71)
@pytest.mark.parametrize("method", ["GET", "DELETE"])
@pytest.mark.parametrize("surface", [COMPAT, NATIVE])
def test_a_foreign_file_is_a_missing_one(service: WireService, surface: str, method: str) -> None:
    file_id = uploaded(service)
    foreign = service.exchange(method, f"{surface}/{file_id}", key=FOREIGN_KEY)
    missing = service.exchange(method, f"{surface}/file-fe-missing", key=FOREIGN_KEY)
    assert (foreign.status, foreign.body.replace(file_id.encode(), b"file-fe-missing")) == (
        missing.status,
        missing.body,
    )
    assert file_id not in [file["id"] for file in get(service, COMPAT, key=FOREIGN_KEY)[1]["data"]]


@pytest.mark.item(67)
def test_pages_follow_one_another_without_a_gap_while_uploads_go_on() -> None:
    with wire_service() as service:
        ids = [uploaded(service) for _ in range(5)]
        first = get(service, f"{COMPAT}?limit=2")[1]
        uploaded(service)
        second = get(service, f"{COMPAT}?limit=2&after={first['data'][-1]['id']}")[1]
        third = get(service, f"{COMPAT}?limit=2&after={second['data'][-1]['id']}")[1]
    pages = [first, second, third]
    assert [file["id"] for page in pages for file in page["data"]] == ids[::-1]
    assert [page["has_more"] for page in pages] == [True, True, False]


def test_a_list_can_be_turned_round_and_filtered() -> None:
    with wire_service() as service:
        first = uploaded(service)
        second = uploaded(service, field("purpose", "user_data"), file_part(b"x"))
        assert [file["id"] for file in get(service, f"{COMPAT}?order=asc")[1]["data"]] == [first, second]
        assert [file["id"] for file in get(service, f"{COMPAT}?purpose=user_data")[1]["data"]] == [second]
        # uploads are of 2025-11-30 18:53:20 in the zone of the options
        assert get(service, f"{COMPAT}?create_after=20251130185320")[1]["data"] == []
        assert (
            len(get(service, f"{COMPAT}?create_after=2025-11-30&create_before=2025-11-30%2018:53:21")[1]["data"]) == 2
        )


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=2001", "limit=ten", "create_after=yesterday", "create_before=20251340"]
)
def test_a_query_out_of_range_is_400(service: WireService, query: str) -> None:
    status, body = get(service, f"{COMPAT}?{query}")
    assert (status, body["error"]["param"]) == (400, query.partition("=")[0])


def test_a_file_tells_its_progress_while_it_is_parsed_and_then_its_state(service: WireService) -> None:
    file_id = uploaded(service)
    waiting = get(service, f"{COMPAT}/{file_id}")[1]
    service.process(file_id, status_details="all is well")
    processed = get(service, f"{COMPAT}/{file_id}")[1]
    assert (waiting["status"], waiting["longscroll"]) == ("uploaded", {"progress": PROGRESS})
    assert (processed["status"], processed["status_details"]) == ("processed", "all is well")
    assert "longscroll" not in processed


def test_progress_is_told_natively_and_in_listings_too(service: WireService) -> None:
    file_id = uploaded(service)
    files = [
        get(service, f"{NATIVE}/{file_id}")[1]["data"],
        get(service, f"{NATIVE}?page_size=1")[1]["data"]["files"][0],
        get(service, f"{COMPAT}?limit=1")[1]["data"][0],
    ]
    assert [file["longscroll"]["progress"] for file in files] == [PROGRESS] * 3


@pytest.mark.item(119)
def test_the_text_of_a_file_can_be_had(service: WireService) -> None:
    reply = service.exchange("GET", f"{COMPAT}/{uploaded(service)}/content")
    assert (reply.status, reply.headers["content-type"]) == (200, "text/plain; charset=utf-8")
    assert reply.body.decode() == "第一页\n第二页\n"


def test_the_text_can_be_withheld_as_the_hosted_service_does() -> None:
    with wire_service(msgspec.structs.replace(FAST, content_of_files=False)) as service:
        status, body = get(service, f"{COMPAT}/{uploaded(service)}/content")
    assert (status, body["error"]["code"]) == (400, "UnsupportedOperation")


@pytest.mark.item(102)
@pytest.mark.parametrize(
    ("options", "words"),
    [
        (FileOptions(max_files=1), "Upload file number exceed limit."),
        (FileOptions(max_bytes=1), "Upload file capacity exceed limit."),
    ],
)
def test_a_full_workspace_refuses_in_the_documented_words(options: FileOptions, words: str) -> None:
    with wire_service(file_options=options) as service:
        upload(service, PURPOSE, file_part(b"x"))
        error = json.loads(upload(service, PURPOSE, file_part(b"x")).body)["error"]
        native = json.loads(upload(service, file_part(b"x", 'name="files"; filename="b"'), path=NATIVE).body)
    assert error["message"] == words
    assert native["data"]["failed_uploads"][0]["message"] == words


@pytest.mark.item(84, 85, 86)
def test_several_files_go_up_natively_with_their_descriptions(service: WireService) -> None:
    parts = (
        file_part(b"one", 'name="files"; filename="1.txt"'),
        file_part(b"x" * ((1 << 20) + 1), 'name="files"; filename="2.txt"'),
        file_part(b"three", 'name="files"; filename="3.txt"'),
        *(field("descriptions", text) for text in ("第一", "第二", "第三")),
    )
    data = json.loads(upload(service, *parts, path=NATIVE).body)["data"]
    too_large = {"name": "2.txt", "code": "BadRequest.TooLarge", "message": "Payload Too Large."}
    assert [file["name"] for file in data["uploaded_files"]] == ["1.txt", "3.txt"]
    assert data["failed_uploads"] == [too_large]
    third = get(service, f"{NATIVE}/{data['uploaded_files'][1]['file_id']}")[1]["data"]
    assert (third["description"], third["size"], third["md5"]) == ("第三", 5, "NdbTNGeq6aLj3MtLawJ4eA==")


@pytest.mark.item(86)
def test_one_file_is_seen_by_both_surfaces() -> None:
    with wire_service() as service:
        ids = [uploaded(service) for _ in range(3)]
        page = get(service, f"{NATIVE}?page_no=2&page_size=2")[1]["data"]
        file = page["files"][0]
        assert get(service, f"{NATIVE}/{ids[0]}", "DELETE")[1].keys() == {"request_id"}
        assert get(service, f"{COMPAT}/{ids[0]}")[0] == 404
    assert (page["total"], page["page_no"], page["page_size"], file["file_id"]) == (3, 2, 2, ids[0])
    assert (file["id"], file["gmt_create"], file["region"]) == (1, "2025-11-30 18:53:20", "local")


@pytest.mark.item(87)
def test_a_missing_file_is_natively_a_400_that_says_not_found(service: WireService) -> None:
    status, body = get(service, f"{NATIVE}/file-fe-missing")
    assert (status, body["code"], body["message"]) == (400, "InvalidParameter", "File not found.")


def test_a_native_upload_without_a_file_is_400(service: WireService) -> None:
    assert upload(service, PURPOSE, path=NATIVE).status == 400
