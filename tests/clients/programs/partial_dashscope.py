"""Ask about a file that is being parsed: content with its beginning, then waiting for the whole.

Usage: partial_dashscope.py ORIGIN KEY FILE_ID; prints one JSON object a line. The client drops the report.
"""

import json
import sys

import dashscope

origin, dashscope.api_key, file_id = sys.argv[1:]
dashscope.base_http_api_url = f"{origin}/api/v1"
document = {"role": "system", "content": f"fileid://{file_id}"}
messages = [document, {"role": "user", "content": "Who repaired clocks in the village?"}]


def ask(**options):
    """Return the text of an answer."""
    options = {"stream": True, "incremental_output": True, "result_format": "text"} | options
    frames = dashscope.Generation.call(model="qwen-long", messages=messages, **options)
    return "".join(frame.output.text for frame in frames)


print(json.dumps({"partial": ask(longscroll={"partial": True})}), flush=True)
print(json.dumps({"whole": ask()}), flush=True)
