"""Longscroll as a test double: a real service that answers, errs and stalls as a test wishes.

What stands here is for programs that are tested against DashScope or OpenAI; ``docs/how-to/test-your-own-code.md``
shows how. With pytest the fixture ``longscroll`` is there without any import.
"""

from longscroll.documents.scripted import FileRule
from longscroll.engines.faults import Fault
from longscroll.engines.scripted import Rule
from longscroll.services.script import Chat
from longscroll.testing.service import Refused, Service, ServiceOptions, running_service

__all__ = ["Chat", "Fault", "FileRule", "Refused", "Rule", "Service", "ServiceOptions", "running_service"]
