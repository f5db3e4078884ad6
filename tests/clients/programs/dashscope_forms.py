"""What an answer may be asked for, by the 1.x calls of dashscope. Prints one JSON object a line."""

import json

from dashscope import Generation, MultiModalConversation

WEATHER = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}


def plain(value):
    """Return the dict under a response object."""
    return json.loads(json.dumps(value, default=str))


def ask(question, *further, model="scripted", **fields):
    """Return the answer to a question, after which further messages may stand."""
    messages = [{"role": "user", "content": question}, *further]
    return Generation.call(model=model, messages=messages, result_format="message", **fields)


def say(step, response):
    """Print one result under its name."""
    names = ("status_code", "code", "message", "output", "usage")
    value = {name: plain(getattr(response, name)) for name in names}
    print(json.dumps({step: value}, ensure_ascii=False), flush=True)


def say_all(step, responses):
    """Print the choices of the frames of a stream, in order."""
    frames = [plain(response.output)["choices"] for response in responses]
    print(json.dumps({step: frames}, ensure_ascii=False), flush=True)


say("choices", ask("story", n=3, seed=1))
say("call", ask("weather", tools=[WEATHER]))
say_all("streamed_call", ask("weather", tools=[WEATHER], stream=True, incremental_output=True))
call = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
turn = {"role": "assistant", "content": "", "tool_calls": [call]}
say("after_call", ask("story", turn, {"role": "tool", "tool_call_id": "call_1", "content": "12"}, tools=[WEATHER]))
say("odds", ask("odds", logprobs=True, top_logprobs=1))
say("stop_text", ask("story", stop="upon"))
say("stop_ids", ask("story", stop=[[46100, 101933]]))
say("continued", ask("story", {"role": "assistant", "content": "Once upon", "partial": True}))
parts = [{"role": "user", "content": [{"text": "story"}]}]
say("in_parts", MultiModalConversation.call(model="scripted", messages=parts))
say("json", ask("as json, please", response_format={"type": "json_object"}))
say("refused_tools", ask("story", model="qwen-long", tools=[WEATHER]))
say("refused_n", ask("story", model="qwen-long", n=2))
say("refused_logprobs", ask("story", model="qwen-long", logprobs=True))
