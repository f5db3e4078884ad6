"""Embeddings, rerank, tokenizer and tasks by dashscope. Usage: dashscope_vectors.py BASE_URL KEY.

Prints one JSON object a line. dashscope 1.13.6 has no TextReRank; where the class is missing, its steps are too.
"""

import json
import sys

import dashscope
from dashscope import TextEmbedding, Tokenization

base_url, key = sys.argv[1:]
dashscope.base_http_api_url = base_url
dashscope.api_key = key
DOCUMENTS = ["冬天很冷", "春天来了", "spring"]


def say(step, response):
    """Print what a program can read from one response."""
    names = ("status_code", "code", "message", "output", "usage")
    value = {name: getattr(response, name) for name in names}
    print(json.dumps({step: value}, ensure_ascii=False, default=dict), flush=True)


say("one", TextEmbedding.call(model="text-embedding-v4", input="代码"))
say(
    "several", TextEmbedding.call(model="text-embedding-v4", input=["代码", "改变世界"], text_type="query", dimension=2)
)
say("too_many", TextEmbedding.call(model="text-embedding-v4", input=["x"] * 11))
say("tokens", Tokenization.call(model="qwen-long", prompt="代码改变世界"))
say("messages", Tokenization.call(model="qwen-long", messages=[{"role": "user", "content": "代码"}]))
say("unknown", Tokenization.call(model="qwen-short", prompt="代码"))
task = "7e8c1d1e-0000-4000-8000-000000000000"
say("waited", dashscope.ImageSynthesis.wait(task))
say("canceled", dashscope.ImageSynthesis.cancel(task))
say("listed", dashscope.ImageSynthesis.list())
say("pictures", dashscope.ImageSynthesis.async_call(model="wanx-v1", prompt="春天"))
if hasattr(dashscope, "TextReRank"):
    rank = dashscope.TextReRank.call
    say("ranked", rank(model="gte-rerank-v2", query="春天", documents=DOCUMENTS, top_n=2, return_documents=True))
if hasattr(dashscope, "Client"):
    client = dashscope.Client(api_key=key, base_url=base_url, protocol="native")
    embedded = client.embeddings.create(model="text-embedding-v4", input=["代码"])
    ranked = client.rerank.create(model="gte-rerank-v2", query="春天", documents=DOCUMENTS)
    tokens = client.tokenization.count(model="qwen-long", prompt="代码改变世界")
    said = [embedded.embeddings[0].embedding, [result.index for result in ranked.results], tokens.token_ids]
    print(json.dumps({"client": said}))
