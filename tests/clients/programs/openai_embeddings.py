"""Embeddings by the openai client. Usage: openai_embeddings.py BASE_URL KEY; prints one JSON object a line.

openai 1.0.0 has no argument for dimensions, and asks for base64 only where numpy is installed.
"""

import base64
import json
import struct
import sys

from openai import BadRequestError, OpenAI

base_url, key = sys.argv[1:]
client = OpenAI(api_key=key, base_url=base_url, max_retries=0)


def say(step, value):
    """Print one result under its name."""
    print(json.dumps({step: value}, ensure_ascii=False), flush=True)


def embed(texts, **options):
    """Return the vectors of a call, and its usage."""
    reply = client.embeddings.create(model="text-embedding-v4", input=texts, **options)
    return [item.embedding for item in reply.data], reply.usage.total_tokens


say("several", embed(["代码", "改变世界"]))
say("one", embed("代码", extra_body={"dimensions": 2}))
say("float", embed("代码", encoding_format="float"))
coded, _ = embed(["代码"], encoding_format="base64")
say("base64", list(struct.unpack("<2f", base64.b64decode(coded[0]))))
try:
    embed(["x"] * 11)
except BadRequestError as error:
    say("too_many", [error.status_code, error.response.json()["error"]["message"]])
