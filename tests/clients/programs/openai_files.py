"""The files of the compat surface. Usage: openai_files.py BASE_URL KEY FOLDER; prints one JSON object a line."""

import json
import sys
from pathlib import Path

from openai import BadRequestError, NotFoundError, OpenAI

base_url, key, folder = sys.argv[1:]
client = OpenAI(api_key=key, base_url=base_url)
handbook, report = Path(folder, "handbook.txt"), Path(folder, "年度报告.pdf")


def say(step, value):
    """Print one result under its name."""
    print(json.dumps({step: value}, ensure_ascii=False, default=str))


def failure(error):
    """Return what a program reads from an error of the client."""
    inner = error.response.json()["error"]
    return {"class": type(error).__name__, "status": error.status_code, "inner": inner, "message": str(error)}


def text_of(file_id):
    """Return the text of a document by whichever call this version of the client has."""
    if hasattr(client.files, "content"):
        return client.files.content(file_id).text
    return client.files.retrieve_content(file_id)


uploaded = client.files.create(file=report, purpose="file-extract")
say("uploaded", uploaded.model_dump())
parsed = client.files.wait_for_processing(uploaded.id, poll_interval=0.1, max_wait_seconds=60)
say("parsed", parsed.model_dump())
say("retrieved", client.files.retrieve(uploaded.id).model_dump())
say("content", text_of(uploaded.id))

twins = [client.files.create(file=handbook, purpose="file-extract").id for _ in range(2)]
say("twins", twins)
listed = [file.id for file in client.files.list()]
say("listed_first", listed[:3])
paged = [file.id for file in client.files.list(extra_query={"limit": 2, "purpose": "file-extract"})]
say("paged", paged)
say("n_paged_and_listed", [len(paged), len(set(paged)), len(listed)])
say("deleted", client.files.delete(twins[0]).model_dump())
say("other_twin", client.files.retrieve(twins[1]).model_dump())

try:
    client.files.delete(twins[0])
except NotFoundError as error:
    say("deleted_again", failure(error))
try:
    client.files.retrieve("file-fe-00000000000000000000ffff")
except NotFoundError as error:
    say("retrieved_unknown", failure(error))
try:
    client.files.create(file=handbook, purpose="poetry")
except BadRequestError as error:
    say("wrong_purpose", failure(error))
