"""/api/v1/tasks: there are no asynchronous tasks here, which is said as the hosted service says it (PROTOCOL.md §8.6).

A task that nobody knows is ``UNKNOWN`` with status 200, on which every client's wait ends.
"""

from __future__ import annotations

from typing import Literal, Never

from msgspec import Struct

from longscroll.errors import TaskNotPending
from longscroll.protocols.exchange import Reply, Request, json_reply
from longscroll.protocols.parameters import integer
from longscroll.protocols.told import pages

MAX_PAGE = 1000

LIST_PARAMETERS = pages(MAX_PAGE)


class TaskState(Struct, frozen=True, kw_only=True):
    """What is known of a task."""

    task_id: str
    task_status: Literal["UNKNOWN"] = "UNKNOWN"


class TaskReply(Struct, frozen=True, kw_only=True):
    """The reply that holds one task."""

    request_id: str
    output: TaskState


class TaskList(Struct, frozen=True, kw_only=True):
    """One numbered page of tasks."""

    request_id: str
    data: tuple[TaskState, ...] = ()
    total: int = 0
    total_page: int = 0
    page_no: int
    page_size: int


class Tasks:
    """The handlers of the task endpoints."""

    async def get(self, request: Request) -> Reply:
        """Return the state of a task."""
        state = TaskState(task_id=request.arguments["id"])
        return json_reply(TaskReply(request_id=request.id, output=state))

    async def list(self, request: Request) -> Reply:
        """Return a page of tasks, which is empty."""
        number = integer(request.query, "page_no", 1, low=1, high=10**9)
        size = integer(request.query, "page_size", 10, low=1, high=MAX_PAGE)
        return json_reply(TaskList(request_id=request.id, page_no=number, page_size=size))

    async def cancel(self, _request: Request) -> Never:
        """Refuse: no task is pending.

        Raises:
            TaskNotPending: always.
        """
        raise TaskNotPending
