"""A real llama-server on a tiny random model, in a process of its own.

In tests: ``with llama_server(folder) as server: server.url``. By hand: ``python tests/factories/llama_server.py --port
8080``, then ``longscroll serve --upstream http://127.0.0.1:8080/v1 --upstream-model tiny`` in another terminal.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

MODEL = "tiny"
VOCABULARY = Path(__file__).resolve().parents[2] / "src/longscroll/data/qwen.tiktoken"
N_CTX, N_PARALLEL = 16384, 2
FEW_TOKENS, ALL_TOKENS = 8192, 151643  # of the vocabulary; few: texts take more tokens than this service counts


class LlamaServer(NamedTuple):
    """Where the server answers."""

    url: str  # ends in /v1
    model: str
    context_window: int  # of each of its slots


@contextmanager
def llama_server(
    folder: Path, *, n_ctx: int = N_CTX, n_parallel: int = N_PARALLEL, n_tokens: int = FEW_TOKENS
) -> Iterator[LlamaServer]:
    """Run the server on a free port; its model file goes into ``folder``. Needs gguf, xllamacpp and the vocabulary.

    With ``n_tokens=ALL_TOKENS`` it counts exactly as this service does, and takes three seconds longer to start.
    """
    numbers = {"--n-ctx": n_ctx, "--n-parallel": n_parallel, "--n-tokens": n_tokens}
    command = [sys.executable, __file__, "--until-stdin-closes", "--folder", str(folder)]
    command += [word for name, number in numbers.items() for word in (name, str(number))]
    log_path = folder / "llama-server.log"
    with (
        log_path.open("wb") as log,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True) as process,
    ):
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            url = process.stdout.readline().strip()
            if not url:
                raise RuntimeError(f"llama-server did not start: {log_path.read_text()[-2000:]}")
            yield LlamaServer(url, MODEL, n_ctx // n_parallel)
        finally:
            process.stdin.close()
            process.wait(timeout=20)


def main() -> None:
    """Run the server until standard input closes or a signal comes."""
    parser = argparse.ArgumentParser(description="A real llama-server on a tiny random model.")
    parser.add_argument("--port", type=int, default=0, help="0: a free one")
    parser.add_argument("--folder", type=Path, default=None, help="for the model file; default: a temporary one")
    parser.add_argument("--n-ctx", type=int, default=N_CTX, help="tokens, divided over the slots")
    parser.add_argument("--n-parallel", type=int, default=N_PARALLEL, help="slots")
    parser.add_argument("--n-tokens", type=int, default=ALL_TOKENS, help="of the Qwen vocabulary")
    parser.add_argument("--until-stdin-closes", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        _serve(arguments, arguments.folder or Path(temporary))


def _serve(arguments: argparse.Namespace, folder: Path) -> None:
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    import xllamacpp  # noqa: PLC0415  # only the child needs it

    from factories.gguf_model import write_model  # noqa: PLC0415

    path = folder / "tiny.gguf"
    write_model(path, VOCABULARY, n_tokens=arguments.n_tokens)
    params = xllamacpp.CommonParams()
    params.model.path = str(path)
    params.model_alias = {MODEL}
    params.port = arguments.port
    params.n_ctx, params.n_parallel = arguments.n_ctx, arguments.n_parallel
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.warmup = False
    server = xllamacpp.Server(params)
    print(f"{server.listening_address}/v1", flush=True)  # noqa: T201  # what the caller waits for
    try:
        sys.stdin.read() if arguments.until_stdin_closes else threading.Event().wait()
    except KeyboardInterrupt:
        pass
    finally:
        del server


if __name__ == "__main__":
    main()
