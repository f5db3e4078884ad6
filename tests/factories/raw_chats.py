"""The bytes of a chat on either surface, for who counts time or memory and wants no HTTP client in between."""

from __future__ import annotations

import json
from typing import Any, Literal

from factories.http import Client

Surface = Literal["compat", "native"]
PATHS: dict[Surface, str] = {
    "compat": "/compatible-mode/v1/chat/completions",
    "native": "/api/v1/services/aigc/text-generation/generation",
}


def chat_request(
    client: Client,
    question: str,
    *,
    surface: Surface = "compat",
    model: str = "qwen-long",
    references: str = "",
    is_streamed: bool = True,
) -> bytes:
    """Return a question, about documents or not, on a connection that ends with the answer."""
    system = [{"role": "system", "content": references}] if references else []
    messages = [*system, {"role": "user", "content": question}]
    fields: dict[str, Any] = {"messages": messages, "stream": is_streamed}
    if surface == "native":
        fields = {"input": {"messages": messages}, "parameters": {"incremental_output": is_streamed}}
    body = json.dumps({"model": model, **fields}).encode()
    lines = [
        f"POST {PATHS[surface]} HTTP/1.1",
        "Host: test",
        f"Authorization: Bearer {client.key}",
        "Connection: close",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        *(["X-DashScope-SSE: enable"] if surface == "native" and is_streamed else []),
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body
