"""Ask about a file that is being parsed: content with its beginning, then waiting for the whole.

Usage: partial_openai.py ORIGIN KEY FILE_ID; prints one JSON object a line.
"""

import json
import sys

from openai import OpenAI

origin, key, file_id = sys.argv[1:]
client = OpenAI(api_key=key, base_url=f"{origin}/compatible-mode/v1", max_retries=0)
document = {"role": "system", "content": f"fileid://{file_id}"}
messages = [document, {"role": "user", "content": "Who repaired clocks in the village?"}]


def ask(**options):
    """Return the chunks of an answer, with the fields that the client does not know."""
    stream = client.chat.completions.create(model="qwen-long", messages=messages, stream=True, **options)
    return [chunk.model_dump() for chunk in stream]


def text(chunks):
    """Return the text of an answer."""
    return "".join(chunk["choices"][0]["delta"]["content"] or "" for chunk in chunks)


begun = ask(extra_body={"longscroll": {"partial": True}})
parsed = begun[-1]["longscroll"]["sources"][0]["parsed"]
print(json.dumps({"partial": text(begun), "parsed": parsed}), flush=True)
print(json.dumps({"whole": text(ask())}), flush=True)
