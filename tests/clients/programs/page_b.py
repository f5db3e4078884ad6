"""The program of the ChatYuan page. Usage: page_b.py; the variables of the SDK say where and with which key.

Prints the output, or the code and the message, and what the page's table of results promises, as one JSON line.
"""

import json
from http import HTTPStatus

from dashscope import Generation

response = Generation.call(model="chatyuan-large-v2", prompt="翻译成英文：春天来了，花朵都开了。")
if response.status_code == HTTPStatus.OK:
    usage = {"input_tokens": response.usage.input_tokens, "output_tokens": response.usage.output_tokens}
    print(json.dumps({"text": response.output.text, "code": response.code, "message": response.message} | usage))
else:
    print(json.dumps({"status": response.status_code, "code": response.code, "message": response.message}))
