"""Schemathesis makes requests from the description of the interface: every reply is as described, none a 500."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from factories.running import RunningService

SCHEMATHESIS = Path(__file__).parents[2] / ".venv-fuzz" / "bin" / "st"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not SCHEMATHESIS.exists(), reason="schemathesis is not installed: make test-slow"),
]

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "use_after_free",
    "ignored_auth",
)
N_EXAMPLES = 20


@pytest.mark.timeout(600)
def test_every_reply_to_requests_made_from_the_description_is_as_described(tmp_path: Path) -> None:
    with RunningService(tmp_path / "data") as service:
        command = [str(SCHEMATHESIS), "run", f"{service.url}/openapi.json"]
        command += ["--header", f"Authorization: Bearer {service.key}", "--checks", ",".join(CHECKS)]
        command += ["--max-examples", str(N_EXAMPLES), "--seed", "20261121", "--request-timeout", "30", "--no-color"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=580)
    sys.stdout.write(done.stdout[-2000:])
    assert done.returncode == 0, done.stdout[-20_000:]
    assert re.search(r"Selected: (\d+)/\1\s+Tested: \1\b", done.stdout) is not None, done.stdout
