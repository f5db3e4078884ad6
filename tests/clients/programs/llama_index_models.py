"""LlamaIndex's DashScope and OpenAILike. Usage: llama_index_models.py BASE_URL KEY HANDBOOK_ID REPORT_ID; JSON lines.

The variables of the dashscope SDK say where and with which key the first of them works.
"""

import json
import sys

from llama_index.core.llms import ChatMessage
from llama_index.llms.dashscope import DashScope
from llama_index.llms.openai_like import OpenAILike
from openai import APIStatusError

base_url, key, handbook, report = sys.argv[1:]
WARRANTY = ChatMessage(role="user", content="How long is the warranty of the pump?")
MACHINES = ChatMessage(role="user", content="自助借还机的保修期是多久？")


def native(name="qwen-long"):
    """Return the model of the dashscope SDK."""
    return DashScope(model_name=name, api_key=key, max_tokens=512)


def compat(name="qwen-long"):
    """Return the model of the openai SDK."""
    return OpenAILike(model=name, api_base=base_url, api_key=key, is_chat_model=True, max_retries=0)


def about(file_id):
    """Return the message that names a document."""
    return ChatMessage(role="system", content=f"fileid://{file_id}")


def say(step, value):
    """Print one result under its name."""
    print(json.dumps({step: value}, ensure_ascii=False))


for surface, model in (("native", native), ("compat", compat)):
    say(f"{surface}_english", model().chat([about(handbook), WARRANTY]).message.content)
    say(f"{surface}_chinese", model().chat([about(report), MACHINES]).message.content)
    streamed = list(model().stream_chat([about(handbook), WARRANTY]))
    say(f"{surface}_streamed", "".join(part.delta for part in streamed))
    say(f"{surface}_streamed_last", streamed[-1].message.content)
    say(f"{surface}_completed", model("qwen-plus").complete("天气").text)

refused = native("qwen-short").complete("天气").raw  # an error is no exception here, but an empty text
say("native_refused", [refused["status_code"], refused["code"], refused["message"]])
try:
    compat("qwen-short").complete("天气")
except APIStatusError as error:
    say("compat_refused", [type(error).__name__, error.status_code, error.code])
