"""The new Client of dashscope 2.x, on both protocols. Usage: dashscope_client.py ORIGIN KEY FOLDER.

Prints one JSON object a line.
"""

import json
import sys
from pathlib import Path

import dashscope
from dashscope.v2 import errors

origin, key, folder = sys.argv[1:]
native = dashscope.Client(api_key=key, base_url=f"{origin}/api/v1", protocol="native")
compat = dashscope.Client(api_key=key, base_url=f"{origin}/compatible-mode/v1", protocol="openai")
stranger = dashscope.Client(api_key="sk-nobody", base_url=f"{origin}/api/v1", protocol="native")


def say(step, value):
    """Print one result under its name."""
    print(json.dumps({step: value}, ensure_ascii=False, default=str), flush=True)


def attempt(step, call):
    """Print the error that a call raises."""
    try:
        say(step, str(call()))
    except errors.DashScopeError as error:
        say(step, [type(error).__name__, error.status_code, error.code, error.message])


uploaded = native.files.upload(file_path=str(Path(folder, "handbook.pdf")), purpose="file-extract")
say("uploaded", uploaded.file_id)
messages = [
    {"role": "system", "content": "You are a helpful assistant."},
    {"role": "system", "content": f"fileid://{uploaded.file_id}"},
    {"role": "user", "content": "How long is the warranty of the pump?"},
]
for name, client in (("native", native), ("openai", compat)):
    whole = client.chat.completions.create(model="qwen-long", messages=messages)
    say(f"{name}_whole", [whole.choices[0].message.content, whole.choices[0].finish_reason])
    stream = client.chat.completions.create(model="qwen-long", messages=messages, stream=True)
    chunks = list(stream)
    say(f"{name}_parts", [chunk.choices[0].delta.content for chunk in chunks if chunk.choices])
    say(f"{name}_finish", [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1])

say("got", native.files.get(uploaded.file_id).name)
say("listed", [file.file_id for file in native.files.list(page_size=1).files])
say("deleted", native.files.delete(uploaded.file_id).deleted)
attempt("got_missing", lambda: native.files.get(uploaded.file_id))
say("models", [model.model for model in native.models.list().models])
say("model", native.models.get("qwen-long").model)
attempt("unknown_model", lambda: native.models.get("qwen-short"))
attempt("bad_key", lambda: stranger.chat.completions.create(model="qwen-long", messages=messages))
streamed = {"model": "qwen-short", "messages": messages, "stream": True}
attempt("unknown_model_streamed", lambda: list(native.chat.completions.create(**streamed)))
