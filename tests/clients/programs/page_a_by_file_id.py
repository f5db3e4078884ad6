"""The first program of the qwen-long quick start: ask about an uploaded file by its id, streamed.

Usage: page_a_by_file_id.py BASE_URL KEY FILE. Prints one JSON line for every chunk with content.
"""

import json
import sys
from pathlib import Path

from openai import OpenAI

base_url, key, path = sys.argv[1:]
client = OpenAI(api_key=key, base_url=base_url)

file = client.files.create(file=Path(path), purpose="file-extract")

completion = client.chat.completions.create(
    model="qwen-long",
    messages=[
        {"role": "system", "content": "You are a helpful assistant."},
        {"role": "system", "content": f"fileid://{file.id}"},
        {"role": "user", "content": "这篇文章讲了什么？"},
    ],
    stream=True,
)
for chunk in completion:
    if chunk.choices[0].delta.content is not None:
        print(json.dumps(chunk.choices[0].dict(), ensure_ascii=False))
