"""A limit that clears while the client waits. Usage: retries_openai.py BASE_URL KEY; prints one JSON object a line."""

import json
import sys
import time

from openai import OpenAI, RateLimitError

base_url, key = sys.argv[1:]
client = OpenAI(api_key=key, base_url=base_url)
hasty = OpenAI(api_key=key, base_url=base_url, max_retries=0)


def ask(with_client):
    """Return the answer of the model that takes thirty requests a minute."""
    messages = [{"role": "user", "content": "天气"}]
    return with_client.chat.completions.create(model="qwen-turbo", messages=messages).choices[0].message.content


def refused():
    """Ask until the limit refuses, and return the refusal."""
    while True:
        try:
            ask(hasty)
        except RateLimitError as error:
            return error.response


response = refused()
limited = {"status": response.status_code, "retry_after": response.headers["retry-after"], "body": response.json()}
print(json.dumps({"limited": limited}))
begun = time.monotonic()
print(json.dumps({"retried": ask(client)}, ensure_ascii=False))
print(json.dumps({"after_s": time.monotonic() - begun}))
