"""Errors of the compat surface. Usage: openai_errors.py BASE_URL KEY FOLDER; prints one JSON object a line."""

import json
import sys
from pathlib import Path

from openai import APIStatusError, OpenAI

base_url, key, folder = sys.argv[1:]
client = OpenAI(api_key=key, base_url=base_url, max_retries=0)
stranger = OpenAI(api_key="sk-nobody", base_url=base_url, max_retries=0)
QUESTION = {"role": "user", "content": "你好"}


def attempt(step, call):
    """Print the error that a call raises: its class, what programs read from it, and the id of the request."""
    try:
        result = call()
    except APIStatusError as error:
        inner = error.response.json()["error"]
        seen = {"class": type(error).__name__, "status": error.status_code, "inner": inner, "message": str(error)}
        header = error.response.headers["x-request-id"]
        seen |= {"code": error.code, "ids_agree": header == error.response.json()["request_id"]}
        print(json.dumps({step: seen}, ensure_ascii=False))
    else:
        print(json.dumps({step: str(result)}))


def chat(with_client=client, model="qwen-long", messages=(QUESTION,), **options):
    """Return one call, not yet made."""
    return lambda: with_client.chat.completions.create(model=model, messages=list(messages), **options)


def about(file_id, **options):
    """Return one call that asks about a file."""
    return chat(messages=[{"role": "system", "content": f"fileid://{file_id}"}, QUESTION], **options)


attempt("bad_key", chat(stranger))
attempt("bad_key_streamed", chat(stranger, stream=True))
attempt("bad_key_files", stranger.files.list)
attempt("unknown_model", chat(model="qwen-short"))
attempt("unknown_model_streamed", chat(model="qwen-short", stream=True))
attempt("empty_model", chat(model=""))
attempt("no_messages", chat(messages=[]))
attempt("unknown_file", about("file-fe-00000000000000000000ffff"))
attempt("unknown_file_streamed", about("file-fe-00000000000000000000ffff", stream=True))

for name, content in (
    ("blank.txt", b""),
    ("broken.pdf", b"%PDF-1.4 nothing follows"),
    ("noise.exe", b"MZ\x90\x00\x03"),
):
    try:
        made = client.files.create(file=(name, content), purpose="file-extract")
    except APIStatusError as error:
        print(json.dumps({name: {"refused": error.response.json()["error"]}}))
        continue
    client.files.wait_for_processing(made.id, poll_interval=0.1, max_wait_seconds=60)
    attempt(name, about(made.id))
gone = client.files.create(file=Path(folder, "handbook.txt"), purpose="file-extract")
client.files.delete(gone.id)
attempt("deleted_file", about(gone.id))
