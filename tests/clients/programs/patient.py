"""Wait for a model that is silent for long. Usage: patient.py ORIGIN KEY; prints one JSON object a line."""

import json
import sys

from dashscope import Generation
from openai import OpenAI

origin, key = sys.argv[1:]
client = OpenAI(api_key=key, base_url=f"{origin}/compatible-mode/v1", max_retries=0)
chunks = client.chat.completions.create(
    model="scripted", messages=[{"role": "user", "content": "think a while"}], stream=True
)
print(json.dumps({"openai": "".join(chunk.choices[0].delta.content or "" for chunk in chunks)}))

options = {"stream": True, "incremental_output": True, "result_format": "text"}
frames = Generation.call(model="scripted", prompt="think a while", **options)
print(json.dumps({"dashscope": "".join(frame.output.text for frame in frames)}))
