"""litellm's provider `dashscope/`. Usage: litellm_provider.py BASE_URL KEY HANDBOOK_ID REPORT_ID; JSON lines.

The provider is pointed by its own variable, DASHSCOPE_API_BASE, which this program sets.
"""

import asyncio
import json
import os
import sys

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
base_url, key, handbook, report = sys.argv[1:]
os.environ["DASHSCOPE_API_BASE"] = base_url
import litellm  # noqa: E402 -- it reads the variables when it is imported
from openai import APIStatusError  # noqa: E402

litellm.telemetry = False
litellm.suppress_debug_info = True
WARRANTY = {"role": "user", "content": "How long is the warranty of the pump?"}


def say(step, value):
    """Print one result under its name."""
    print(json.dumps({step: value}, ensure_ascii=False))


def about(file_id, question=WARRANTY):
    """Return a question about a file."""
    return [{"role": "system", "content": f"fileid://{file_id}"}, question]


def described(answer):
    """Return what a program reads of an answer."""
    usage = {name: answer.usage[name] for name in ("prompt_tokens", "completion_tokens", "total_tokens")}
    choice = answer.choices[0]
    return {"text": choice.message.content, "finish": choice.finish_reason, "usage": usage}


def cited(answer):
    """Return title and address of every link of an answer."""
    links = [annotation["url_citation"] for annotation in answer.choices[0].message.annotations]
    return [[link["title"], link["url"]] for link in links]


def failure(**options):
    """Return class and status of the error that a call ends in."""
    try:
        return described(litellm.completion(**options))
    except APIStatusError as error:
        return [type(error).__name__, error.status_code]


async def streamed(messages):
    """Return what an asynchronous stream adds up to."""
    stream = await litellm.acompletion("dashscope/qwen-long", messages=messages, stream=True)
    return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])


URLS = {"extra_body": {"longscroll": {"citations": "urls"}}}  # it knows no other kind of annotation
machines = {"role": "user", "content": "自助借还机的保修期是多久？"}
english = litellm.completion("dashscope/qwen-long", messages=about(handbook), **URLS)
say("english", described(english))
say("cited", cited(english))
say("chinese", described(litellm.completion("dashscope/qwen-long", messages=about(report, machines), **URLS)))
options = {"stream": True, "stream_options": {"include_usage": True}}
chunks = list(litellm.completion("dashscope/qwen-long", messages=about(handbook), **options))
say("english_streamed", "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices))
say("streamed_usage", [chunk.usage.prompt_tokens for chunk in chunks if getattr(chunk, "usage", None)][-1])
say("english_streamed_async", asyncio.run(streamed(about(handbook))))
say("scripted", described(litellm.completion("dashscope/qwen-plus", messages=[{"role": "user", "content": "天气"}])))

vectors = litellm.embedding("dashscope/text-embedding-v4", input=["春天来了"])
say("embedded", [vectors.data[0]["embedding"], vectors.usage.total_tokens])

nothing = [{"role": "user", "content": "天气"}]
say("unknown_file", failure(model="dashscope/qwen-long", messages=about("file-fe-00000000000000000000ffff")))
say("bad_key", failure(model="dashscope/qwen-plus", messages=nothing, api_key="sk-nobody"))
say("unknown_model", failure(model="dashscope/qwen-short", messages=nothing))
