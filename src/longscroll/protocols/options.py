"""The options of the wire: caps and clocks of the boundary, switches of the surfaces. Knows no other part's options."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

WorkspaceHeader = Literal["ignore", "enforce"]


class ProtocolOptions(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the boundary enforces and which of two documented behaviors a surface shows."""

    max_head_bytes: int = 64 << 10  # of a request line with its headers
    head_timeout_s: float = 30.0  # how long they may take; how long a new connection may be silent
    max_body_bytes: int = 16 << 20  # of a JSON body
    body_silence_s: float = 60.0  # how long the next piece of a body may take
    first_heartbeat_s: float = 10.0  # silence before a stream commits to status 200
    heartbeat_s: float = 15.0  # silence between later comment frames
    send_silence_s: float = 300.0  # how long a client may take nothing of what waits to be sent
    legacy_null_string: bool = False  # compat: "null" instead of null in running chunks
    chatyuan_usage: bool = True  # native: report the usage of chatyuan models
    content_of_files: bool = True  # compat: GET /files/{id}/content returns the text
    cors_origins: tuple[str, ...] = ()  # of pages that may use the service; "*": of all
    workspace_header: WorkspaceHeader = "ignore"  # what X-DashScope-WorkSpace does
    fault_header: bool = False  # obey X-Longscroll-Fault
    utc_offset_hours: int = 8  # zone of dates that the file endpoints read and write without one
