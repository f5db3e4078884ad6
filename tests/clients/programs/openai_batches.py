"""Batches of the compat surface. Usage: openai_batches.py BASE_URL KEY FOLDER; prints one JSON object a line."""

import json
import sys
import time
from pathlib import Path

from openai import BadRequestError, NotFoundError, OpenAI

base_url, key, folder = sys.argv[1:]
client = OpenAI(api_key=key, base_url=base_url)


def say(step, value):
    """Print one result under its name."""
    print(json.dumps({step: value}, ensure_ascii=False, default=str))


def line(custom_id, **body):
    """Return a line of an input."""
    request = {"custom_id": custom_id, "method": "POST", "url": "/v1/chat/completions"}
    return json.dumps({**request, "body": {"model": "qwen-long", **body}}, ensure_ascii=False) + "\n"


def create(text, **fields):
    """Upload an input and create its batch."""
    path = Path(folder, "questions.jsonl")
    path.write_text(text, encoding="utf-8")
    file = client.files.create(file=path, purpose="batch")
    asked = {"endpoint": "/v1/chat/completions", "completion_window": "24h", **fields}
    return file, client.batches.create(input_file_id=file.id, **asked)


def ended(batch):
    """Wait for the end of a batch."""
    while batch.status in ("validating", "in_progress", "finalizing", "cancelling"):
        time.sleep(0.1)
        batch = client.batches.retrieve(batch.id)
    return batch


document = {"role": "system", "content": "E17 表示吸入管路中有空气。"}
question = {"role": "user", "content": "E17 表示什么？"}
messages = [{"role": "system", "content": "你是助手。"}, document, question]
file, batch = create(line("一", messages=messages, stream=True) + line("二", messages=[]), metadata={"ds_name": "代码"})
say("file", file.model_dump())
say("created", batch.model_dump())
batch = ended(batch)
say("ended", batch.model_dump())
say("output", [json.loads(text) for text in client.files.content(batch.output_file_id).text.splitlines()])
say("errors", [json.loads(text) for text in client.files.content(batch.error_file_id).iter_lines()])

_, faulty = create(line("一", messages=messages) + line("一", messages=messages) + "no json\n")
say("faulty", ended(faulty).model_dump())
say("listed", [one.id for one in client.batches.list(limit=1)][:2])
say("named", [one.id for one in client.batches.list(extra_query={"ds_name": "代码"})])
say("batch_files", sorted({file.purpose for file in client.files.list(purpose="batch")}))

_, unwanted = create("".join(line(str(number), messages=messages) for number in range(2000)))
say("cancelled", client.batches.cancel(unwanted.id).status)
say("unwanted", ended(client.batches.retrieve(unwanted.id)).model_dump())

try:
    client.batches.cancel(batch.id)
except BadRequestError as error:
    say("cancelled_too_late", error.body)
try:
    client.batches.retrieve("batch_unknown")
except NotFoundError as error:
    say("unknown", error.body)
