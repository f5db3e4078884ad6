"""LangChain's ChatOpenAI. Usage: langchain_for_openai.py BASE_URL KEY HANDBOOK_ID REPORT_ID; JSON lines."""

import asyncio
import json
import sys
import time

from langchain_core.messages import HumanMessage, SystemMessage
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from openai import APIStatusError

base_url, key, handbook, report = sys.argv[1:]
BEHAVIOR = SystemMessage("You are a helpful assistant.")
WARRANTY = HumanMessage("How long is the warranty of the pump?")


def model(name="qwen-long", api_key=key, **options):
    """Return a chat model."""
    return ChatOpenAI(model=name, base_url=base_url, api_key=api_key, **options)


def say(step, value):
    """Print one result under its name."""
    print(json.dumps({step: value}, ensure_ascii=False))


def about(file_id):
    """Return the message that names a document."""
    return SystemMessage(f"fileid://{file_id}")


def described(answer):
    """Return what a program reads of an answer."""
    usage = {name: answer.usage_metadata[name] for name in ("input_tokens", "output_tokens", "total_tokens")}
    return {"text": answer.content, "finish": answer.response_metadata["finish_reason"], "usage": usage}


def failure(call):
    """Return class, status and code of the error that a call ends in."""
    try:
        return call().content
    except APIStatusError as error:
        return [type(error).__name__, error.status_code, error.code]


def summed(chunks):
    """Return what the chunks of a stream add up to."""
    whole = None
    for chunk in chunks:
        whole = chunk if whole is None else whole + chunk
    return described(whole)


async def streamed(chat_model, messages):
    """Return what an asynchronous stream adds up to."""
    return summed([chunk async for chunk in chat_model.astream(messages)])


reader, scripted = model(stream_usage=True), model("qwen-plus")
say("english", described(reader.invoke([BEHAVIOR, about(handbook), WARRANTY])))
say("chinese", described(reader.invoke([BEHAVIOR, about(report), HumanMessage("自助借还机的保修期是多久？")])))
say("english_streamed", summed(reader.stream([BEHAVIOR, about(handbook), WARRANTY])))
say("english_streamed_async", asyncio.run(streamed(reader, [BEHAVIOR, about(handbook), WARRANTY])))
say("scripted", described(scripted.invoke("天气")))
say("batch", [answer.content for answer in scripted.batch(["天气", "weather"])])

embeddings = OpenAIEmbeddings(
    model="text-embedding-v4", base_url=base_url, api_key=key, check_embedding_ctx_length=False
)
say("embedded", embeddings.embed_query("春天来了"))

unknown = [about("file-fe-00000000000000000000ffff"), WARRANTY]
say("unknown_file", failure(lambda: reader.invoke(unknown)))
say("unknown_file_streamed", failure(lambda: next(iter(reader.stream(unknown)))))
say("bad_key", failure(lambda: model(api_key="sk-nobody").invoke("天气")))
say("unknown_model", failure(lambda: model("qwen-short").invoke("天气")))
say("out_of_range", failure(lambda: model("qwen-plus", temperature=2.0).invoke("天气")))

hasty = model("qwen-turbo", max_retries=0)
while not isinstance(refused := failure(lambda: hasty.invoke("天气")), list):
    pass
say("limited", refused)
begun = time.monotonic()
say("retried", model("qwen-turbo").invoke("天气").content)
say("retried_after_s", time.monotonic() - begun)
