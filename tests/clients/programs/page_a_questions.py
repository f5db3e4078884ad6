"""The first program of the qwen-long quick start with several questions about one file, each streamed.

Usage: page_a_questions.py BASE_URL KEY FILE QUESTION... For every question it prints the chunks of the answer, as one
JSON line.
"""

import json
import sys
from pathlib import Path

from openai import OpenAI

base_url, key, path, *questions = sys.argv[1:]
client = OpenAI(api_key=key, base_url=base_url)

file = client.files.create(file=Path(path), purpose="file-extract")

for question in questions:
    completion = client.chat.completions.create(
        model="qwen-long",
        messages=[
            {"role": "system", "content": "You are a helpful assistant."},
            {"role": "system", "content": f"fileid://{file.id}"},
            {"role": "user", "content": question},
        ],
        stream=True,
    )
    print(json.dumps({"chunks": [chunk.model_dump() for chunk in completion]}, ensure_ascii=False))
