"""A limit that clears while the new client waits. Usage: retries_dashscope.py ORIGIN KEY; JSON lines."""

import json
import sys

from dashscope import Client, Generation

origin, key = sys.argv[1:]
request = {"model": "qwen-turbo", "messages": [{"role": "user", "content": "天气"}]}

while (answer := Generation.call(**request, result_format="message")).status_code == 200:
    pass
print(json.dumps({"limited": [answer.status_code, answer.code, answer.message]}))
client = Client(api_key=key, base_url=f"{origin}/api/v1")
print(json.dumps({"retried": client.chat.completions.create(**request).choices[0].message.content}, ensure_ascii=False))
