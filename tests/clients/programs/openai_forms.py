"""What an answer may be asked for, on the compat surface. Usage: openai_forms.py BASE_URL KEY; prints JSON lines.

Newer fields go into the extra body, because openai 1.0.0 has no parameter for them.
"""

import json
import sys

from openai import BadRequestError, OpenAI

base_url, key = sys.argv[1:]
client = OpenAI(api_key=key, base_url=base_url)
WEATHER = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}


def say(step, value):
    """Print one result under its name."""
    print(json.dumps({step: value}, ensure_ascii=False, default=str))


def ask(question, *further, model="scripted", stream=False, **fields):
    """Return the answer to a question, after which further messages may stand."""
    messages = [{"role": "user", "content": question}, *further]
    return client.chat.completions.create(model=model, messages=messages, stream=stream, extra_body=fields)


say("choices", ask("story", n=3, seed=1).model_dump())
say("streamed_choices", [chunk.model_dump() for chunk in ask("story", n=2, stream=True)])

called = ask("weather", tools=[WEATHER], tool_choice="auto")
say("call", called.model_dump())
say("streamed_call", [chunk.model_dump() for chunk in ask("weather", tools=[WEATHER], stream=True)])
call = called.choices[0].message.model_dump()["tool_calls"][0]
turn = {"role": "assistant", "content": None, "tool_calls": [call]}
result = {"role": "tool", "tool_call_id": call["id"], "content": "12 degrees"}
say("after_call", ask("story", turn, result, tools=[WEATHER]).model_dump())

say("odds", ask("odds", logprobs=True, top_logprobs=1).model_dump())
say("streamed_odds", [chunk.model_dump() for chunk in ask("odds", logprobs=True, stream=True)])

say("stop_text", ask("story", stop="upon").model_dump())
say("stop_ids", ask("story", stop=[46100]).model_dump())
say("stop_sequences", ask("story", stop=[[46100, 101933]]).model_dump())
begun = {"role": "assistant", "content": "Once upon", "partial": True}
say("continued", ask("story", begun).model_dump())
say("json", ask("as json, please", response_format={"type": "json_object"}).model_dump())

completions = client.completions.create(model="scripted", prompt=["story", "odds"], echo=True)
say("completions", completions.model_dump())
stream = client.completions.create(model="scripted", prompt="story", stream=True, stop="upon")
say("streamed_completions", [chunk.model_dump() for chunk in stream])

for name, fields in {
    "tools": {"tools": [WEATHER]},
    "n": {"n": 2},
    "logprobs": {"logprobs": True},
    "response_format": {"response_format": {"type": "json_object"}},
}.items():
    try:
        ask("json", model="qwen-long", **fields)
    except BadRequestError as error:
        say(f"refused_{name}", error.response.json()["error"]["message"])
