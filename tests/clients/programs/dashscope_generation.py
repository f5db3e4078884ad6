"""Text generation by the 1.x calls of dashscope. Usage: dashscope_generation.py BASE_URL KEY FILE_ID.

Prints one JSON object a line. The base URL is set on the module, as programs older than the variables do.
"""

import json
import sys

import dashscope
from dashscope import Generation

base_url, key, file_id = sys.argv[1:]
dashscope.base_http_api_url = base_url
dashscope.api_key = key
SYSTEM = {"role": "system", "content": "You are a helpful assistant."}
DOCUMENT = {"role": "system", "content": f"fileid://{file_id}"}
QUESTION = {"role": "user", "content": "How long is the warranty of the pump?"}
MESSAGES = [SYSTEM, DOCUMENT, QUESTION]


def plain(value):
    """Return the dict under a response object."""
    return json.loads(json.dumps(value, default=str))


def say(step, response):
    """Print everything that a program can read from one response."""
    names = ("status_code", "code", "message", "output", "usage", "request_id")
    value = {name: plain(getattr(response, name)) for name in names}
    print(json.dumps({step: value}, ensure_ascii=False), flush=True)


def say_all(step, responses):
    """Print the responses of a stream, in order."""
    frames = [{name: plain(getattr(one, name)) for name in ("status_code", "output", "usage")} for one in responses]
    print(json.dumps({step: frames}, ensure_ascii=False), flush=True)


say("prompt", Generation.call(model="qwen-long", prompt="你好"))
say("default_format", Generation.call(model="qwen-long", messages=MESSAGES))
say("as_text", Generation.call(model="qwen-long", messages=MESSAGES, result_format="text"))
say("as_message", Generation.call(model="qwen-long", messages=MESSAGES, result_format="message"))
say("prompt_and_messages", Generation.call(model="qwen-long", messages=[SYSTEM, DOCUMENT], prompt=QUESTION["content"]))
history = [{"user": "你好", "bot": "您好。"}]
say("history", Generation.call(model="qwen-long", history=history, prompt="谢谢"))
say("unknown_parameters", Generation.call(model="qwen-long", messages=MESSAGES, wishes=["three"], seed=7))

streamed = {"model": "qwen-long", "messages": MESSAGES, "stream": True}
say_all("cumulative_text", Generation.call(**streamed, result_format="text"))
say_all("incremental_text", Generation.call(**streamed, result_format="text", incremental_output=True))
say_all("incremental_message", Generation.call(**streamed, result_format="message", incremental_output=True))

say("bad_key", Generation.call(model="qwen-long", prompt="你好", api_key="sk-nobody"))
say("unknown_model", Generation.call(model="qwen-short", prompt="你好"))
missing = [{"role": "system", "content": "fileid://file-fe-00000000000000000000ffff"}, QUESTION]
say("unknown_file", Generation.call(model="qwen-long", messages=missing))
for one in Generation.call(model="qwen-long", messages=missing, stream=True):
    say("unknown_file_streamed", one)
for one in Generation.call(model="qwen-long", prompt="你好", api_key="sk-nobody", stream=True):
    say("bad_key_streamed", one)
say("out_of_range", Generation.call(model="qwen-long", prompt="你好", top_p=3.0))
