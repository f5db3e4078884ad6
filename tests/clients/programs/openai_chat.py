"""Conversations of the compat surface. Usage: openai_chat.py BASE_URL KEY FOLDER; prints one JSON object a line."""

import json
import sys
from pathlib import Path

from openai import OpenAI

base_url, key, folder = sys.argv[1:]
client = OpenAI(api_key=key, base_url=base_url)
handbook = client.files.create(file=Path(folder, "handbook.pdf"), purpose="file-extract").id
report = client.files.create(file=Path(folder, "年度报告.pdf"), purpose="file-extract").id
WARRANTY = "How long is the warranty of the pump?"
MACHINES = "自助借还机的保修期是多久？"


def say(step, value):
    """Print one result under its name."""
    print(json.dumps({step: value}, ensure_ascii=False, default=str))


def message(role, content):
    """Return one message of a conversation."""
    return {"role": role, "content": content}


def ask(*messages, **options):
    """Return the whole answer to a conversation about documents."""
    behavior = message("system", "You are a helpful assistant.")
    return client.chat.completions.create(model="qwen-long", messages=[behavior, *messages], **options)


def about(files, question, **options):
    """Return the whole answer to one question about files."""
    return ask(message("system", files), message("user", question), **options)


whole = about(f"fileid://{handbook}", WARRANTY)
say("whole", whole.model_dump())

stream = about(f"fileid://{handbook}", WARRANTY, stream=True)
say("streamed", [chunk.model_dump() for chunk in stream])

options = {"stream_options": {"include_usage": True}}
stream = about(f"fileid://{handbook}", WARRANTY, stream=True, extra_body=options)
say("streamed_with_usage", [chunk.model_dump() for chunk in stream])

say("chinese", about(f"fileid://{report}", MACHINES).model_dump())
together = about(f"fileid://{handbook},fileid://{report}", MACHINES)
apart = ask(
    message("system", f"fileid://{handbook}"), message("system", f"fileid://{report}"), message("user", MACHINES)
)
say("two_in_one_message", together.model_dump())
say("two_in_two_messages", apart.model_dump())

first = message("user", WARRANTY)
answer = message("assistant", whole.choices[0].message.content)
added = message("system", f"fileid://{report}")
turns = [message("system", f"fileid://{handbook}"), first, answer, added, message("user", MACHINES)]
say("appended_document", ask(*turns).model_dump())

separated = "The ferry to Skarholmen leaves at 07:40.\u2028It carries sixty cars.\u2029\u0085The fare is 95 kroner."
stream = about(separated, "When does the ferry to Skarholmen leave?", stream=True)
say("line_separators", "".join(chunk.choices[0].delta.content or "" for chunk in stream))

say("unknown_fields", about(separated, "What is the fare?", extra_body={"wishes": ["three"]}).model_dump())
say("no_document", ask(message("user", "你好"), stream=False).model_dump())
say("models", [model.id for model in client.models.list()])
say("model", client.models.retrieve("qwen-long").model_dump())
