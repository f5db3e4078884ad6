"""A small HTTP client on the standard library, for tests of the whole that need no SDK."""

from __future__ import annotations

import http.client
import json
import time
import uuid
from typing import Any

from msgspec import Struct

from longscroll.testing.process import ServiceProcess


class Reply(Struct, frozen=True):
    """A whole reply; ``json`` parses its body."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def events(self) -> list[Any]:
        """The JSON of every ``data:`` line that has JSON, in order."""
        lines = self.body.decode().split("\n")
        data = [line.partition(":")[2].strip() for line in lines if line.startswith("data:")]
        return [json.loads(item) for item in data if item != "[DONE]"]


class Client:
    """Requests with the service's first key, a connection each."""

    def __init__(
        self, service: ServiceProcess, *, key: str | None = None, address: tuple[str, int] | None = None
    ) -> None:
        """Speak to ``service``, through what listens at ``address`` where one is given."""
        self.service = service
        self.address = address or service.host_and_port
        self.key = service.key if key is None else key

    def request(self, method: str, path: str, body: bytes | dict[str, Any] | None = None, **headers: str) -> Reply:
        """Send one request and read the whole reply."""
        data = json.dumps(body).encode() if isinstance(body, dict) else body
        sent = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        connection = http.client.HTTPConnection(*self.address, timeout=60)
        try:
            connection.request(method, path, data, sent)
            response = connection.getresponse()
            return Reply(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
        finally:
            connection.close()

    def send_file(self, filename: str, data: bytes, *, purpose: str = "file-extract", **headers: str) -> Reply:
        """Upload a document, whatever the reply."""
        boundary = uuid.uuid4().hex
        head = (
            f'--{boundary}\r\nContent-Disposition: form-data; name="purpose"\r\n\r\n{purpose}\r\n'
            f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{filename}"\r\n'
            "Content-Type: application/octet-stream\r\n\r\n"
        )
        body = head.encode() + data + f"\r\n--{boundary}--\r\n".encode()
        kind = f"multipart/form-data; boundary={boundary}"
        return self.request("POST", "/compatible-mode/v1/files", body, Content_Type=kind, **headers)

    def upload(self, filename: str, data: bytes, *, purpose: str = "file-extract") -> str:
        """Upload a document and return its id."""
        reply = self.send_file(filename, data, purpose=purpose)
        assert reply.status == 200, reply.body
        file_id: str = reply.json["id"]
        return file_id

    def file(self, file_id: str) -> dict[str, Any]:
        """Return the file object."""
        found: dict[str, Any] = self.request("GET", f"/compatible-mode/v1/files/{file_id}").json
        return found

    def parsed(self, file_id: str, *, within_s: float = 30, poll_s: float = 0.02) -> dict[str, Any]:
        """Wait until a file is in its final state and return it."""
        until = time.monotonic() + within_s
        while (file := self.file(file_id))["status"] == "uploaded":
            assert time.monotonic() < until, f"still not parsed after {within_s} s"
            time.sleep(poll_s)
        return file

    def chat(self, *messages: tuple[str, str], model: str = "qwen-long", **fields: Any) -> Reply:
        """Chat on the compat surface."""
        turns = [{"role": role, "content": content} for role, content in messages]
        return self.request(
            "POST", "/compatible-mode/v1/chat/completions", {"model": model, "messages": turns, **fields}
        )

    def ask(self, question: str, *file_ids: str, **fields: Any) -> dict[str, Any]:
        """Ask about files and return the message."""
        references = ",".join(f"fileid://{file_id}" for file_id in file_ids)
        reply = self.chat(
            ("system", "You are a helpful assistant."), ("system", references), ("user", question), **fields
        )
        assert reply.status == 200, reply.body
        message: dict[str, Any] = reply.json["choices"][0]["message"]
        return message
