"""Text generation by dashscope's AioGeneration. Usage: dashscope_async.py FILE_ID; prints one JSON object a line."""

import asyncio
import json
import sys

from dashscope import AioGeneration

MESSAGES = [
    {"role": "system", "content": "You are a helpful assistant."},
    {"role": "system", "content": f"fileid://{sys.argv[1]}"},
    {"role": "user", "content": "How long is the warranty of the pump?"},
]


async def main():
    """Ask once as a whole and once streamed, then for a model that does not exist."""
    whole = await AioGeneration.call(model="qwen-long", messages=MESSAGES, result_format="message")
    print(json.dumps({"whole": whole.output.choices[0].message.content}))
    stream = {"stream": True, "incremental_output": True, "result_format": "message"}
    responses = await AioGeneration.call(model="qwen-long", messages=MESSAGES, **stream)
    parts = [one.output.choices[0].message.content async for one in responses]
    print(json.dumps({"parts": parts}))
    missing = await AioGeneration.call(model="qwen-short", prompt="你好")
    print(json.dumps({"missing": [missing.status_code, missing.code, missing.message]}))


asyncio.run(main())
