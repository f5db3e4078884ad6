"""LangChain's ChatTongyi. Usage: langchain_tongyi.py HANDBOOK_ID REPORT_ID; prints one JSON object a line.

The variables of the dashscope SDK say where and with which key.
"""

import asyncio
import json
import sys

from langchain_community.chat_models.tongyi import ChatTongyi
from langchain_community.embeddings import DashScopeEmbeddings
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage

handbook, report = sys.argv[1:]
reader = ChatTongyi(model="qwen-long")
streaming = ChatTongyi(model="qwen-long", streaming=True)
scripted = ChatTongyi(model="qwen-plus")
WARRANTY = HumanMessage("How long is the warranty of the pump?")


def say(step, value):
    """Print one result under its name."""
    print(json.dumps({step: value}, ensure_ascii=False))


def about(file_id):
    """Return the message that names a document."""
    return SystemMessage(f"fileid://{file_id}")


def described(answer):
    """Return what a program reads of an answer."""
    return {"text": answer.content, "finish": answer.response_metadata["finish_reason"]} | {
        "usage": answer.response_metadata["token_usage"]
    }


def failure(call):
    """Return class and words of the error that a call ends in."""
    try:
        return call().content
    except ValueError as error:
        return [type(error).__name__, str(error)]


def text(chunks):
    """Return what the chunks of a stream add up to, and how it ended."""
    chunks = list(chunks)
    return ["".join(chunk.content for chunk in chunks), chunks[-1].response_metadata.get("finish_reason"), len(chunks)]


async def streamed(model, messages):
    """Return what an asynchronous stream adds up to."""
    return "".join([chunk.content async for chunk in model.astream(messages)])


say("english", described(reader.invoke([about(handbook), WARRANTY])))
say("chinese", described(reader.invoke([about(report), HumanMessage("自助借还机的保修期是多久？")])))
say("english_streamed", text(streaming.stream([about(handbook), WARRANTY])))
say("english_streamed_async", asyncio.run(streamed(streaming, [about(handbook), WARRANTY])))
say("scripted", described(scripted.invoke("天气")))
say("scripted_streamed", text(ChatTongyi(model="qwen-plus", streaming=True).stream("天气")))
turns = [HumanMessage("天气"), AIMessage("晴。"), HumanMessage("天气")]
say("turns", described(scripted.invoke(turns)))
say("batch", [answer.content for answer in scripted.batch(["天气", "weather"])])

embeddings = DashScopeEmbeddings(model="text-embedding-v4")
say("embedded", [embeddings.embed_query("春天来了"), len(embeddings.embed_documents(["x"] * 12))])

unknown = [about("file-fe-00000000000000000000ffff"), WARRANTY]
say("unknown_file", failure(lambda: reader.invoke(unknown)))
say("unknown_file_streamed", failure(lambda: next(iter(reader.stream(unknown)))))
say("bad_key", failure(lambda: ChatTongyi(model="qwen-plus", api_key="sk-nobody").invoke("天气")))
say("out_of_range", failure(lambda: ChatTongyi(model="qwen-plus", top_p=3.0).invoke("天气")))
