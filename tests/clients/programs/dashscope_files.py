"""The native file API by the 1.x calls of dashscope. Usage: dashscope_files.py FOLDER.

Prints one JSON object a line.
"""

import json
import sys
from pathlib import Path

import dashscope
from dashscope import Generation

Files = getattr(dashscope, "Files", None) or dashscope.File  # renamed between the versions
report = str(Path(sys.argv[1], "年度报告.pdf"))


def say(step, response):
    """Print what a program can read from one response."""
    value = {name: getattr(response, name) for name in ("status_code", "code", "message", "output")}
    print(json.dumps({step: value}, ensure_ascii=False, default=str), flush=True)


uploaded = Files.upload(file_path=report, purpose="file-extract", description="年报")
say("uploaded", uploaded)
file_id = uploaded.output["uploaded_files"][0]["file_id"]
say("listed", Files.list(page=1, page_size=2))
say("got", Files.get(file_id))
document = {"role": "system", "content": f"fileid://{file_id}"}
question = {"role": "user", "content": "自助借还机的保修期是多久？"}
say("asked", Generation.call(model="qwen-long", messages=[document, question], result_format="text"))
say("deleted", Files.delete(file_id))
say("got_missing", Files.get(file_id))
