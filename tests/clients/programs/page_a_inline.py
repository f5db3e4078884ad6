"""The second program of the qwen-long quick start: the document stands in a system message, streamed.

Usage: page_a_inline.py BASE_URL KEY. Prints one JSON line for every chunk with content.
"""

import json
import sys

from openai import OpenAI

base_url, key = sys.argv[1:]
client = OpenAI(api_key=key, base_url=base_url)

completion = client.chat.completions.create(
    model="qwen-long",
    messages=[
        {"role": "system", "content": "You are a helpful assistant."},
        {"role": "system", "content": "大型语言模型彻底改变了人工智能领域，使以前只有人类能做的语言任务成为可能..."},
        {"role": "user", "content": "文章讲了什么？"},
    ],
    stream=True,
)
for chunk in completion:
    if chunk.choices[0].delta.content is not None:
        print(json.dumps(chunk.choices[0].dict(), ensure_ascii=False))
