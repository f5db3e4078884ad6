"""Token counts on the Qwen vocabulary: exact where the vocabulary is installed, a stated estimate elsewhere.

Knows no message format but ChatML's overhead and no model. Source: PROTOCOL.md §6.5.
"""
