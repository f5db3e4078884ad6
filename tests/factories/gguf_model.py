"""A tiny random Qwen2 checkpoint in GGUF: what it says is noise, how it says it is a real model server's business.

The vocabulary is a prefix of the real Qwen one. Byte-pair merges are ordered by rank, so any prefix of the ranks is a
whole vocabulary in itself; merges are found again by encoding each token with the ranks below its own.
"""

from __future__ import annotations

import base64
from itertools import pairwise
from pathlib import Path

import gguf
import numpy as np
from numpy.typing import NDArray

SPECIAL_TOKENS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
N_LAYERS, N_HEADS, N_KV_HEADS, HEAD_DIM, HIDDEN, FEED_FORWARD = 2, 4, 2, 16, 64, 128


def write_model(path: Path, vocabulary: Path, *, n_tokens: int = 8192, seed: int = 7) -> None:
    """Write the checkpoint to ``path``; ``n_tokens`` of the vocabulary, at most all of it."""
    ranks = _read_ranks(vocabulary, n_tokens)
    writer = gguf.GGUFWriter(path, "qwen2")
    writer.add_name("longscroll-tiny")
    writer.add_context_length(32768)
    writer.add_embedding_length(HIDDEN)
    writer.add_block_count(N_LAYERS)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_head_count(N_HEADS)
    writer.add_head_count_kv(N_KV_HEADS)
    writer.add_rope_freq_base(1e6)
    writer.add_layer_norm_rms_eps(1e-6)
    _add_vocabulary(writer, ranks)
    _add_weights(writer, len(ranks) + len(SPECIAL_TOKENS), np.random.default_rng(seed))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _read_ranks(vocabulary: Path, n_tokens: int) -> dict[bytes, int]:
    lines = vocabulary.read_bytes().splitlines()[:n_tokens]
    pairs = (line.split() for line in lines)
    return {base64.b64decode(token): int(rank) for token, rank in pairs}


def _add_vocabulary(writer: gguf.GGUFWriter, ranks: dict[bytes, int]) -> None:
    names = _byte_names()
    words = ["".join(names[byte] for byte in token) for token in ranks]
    merges = [
        " ".join("".join(names[byte] for byte in part) for part in _merge_of(token, ranks))
        for token in ranks
        if len(token) > 1
    ]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list([*words, *SPECIAL_TOKENS])
    writer.add_token_types([gguf.TokenType.NORMAL] * len(words) + [gguf.TokenType.CONTROL] * len(SPECIAL_TOKENS))
    writer.add_token_merges(merges)
    writer.add_pad_token_id(len(words))
    writer.add_eos_token_id(len(words) + 2)
    writer.add_add_bos_token(False)
    writer.add_chat_template(CHAT_TEMPLATE)


def _byte_names() -> dict[int, str]:
    """Name every byte by a printable character, as GPT-2's byte-level vocabularies do."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in printable]
    return {byte: chr(byte) for byte in printable} | {byte: chr(256 + n) for n, byte in enumerate(others)}


def _merge_of(token: bytes, ranks: dict[bytes, int]) -> tuple[bytes, bytes]:
    """Split a token into the two that its own merge joins."""
    limit = ranks[token]
    parts = [bytes([byte]) for byte in token]
    while len(parts) > 2:
        joined = [ranks.get(left + right, limit) for left, right in pairwise(parts)]
        best = min(range(len(joined)), key=joined.__getitem__)
        assert joined[best] < limit
        parts[best : best + 2] = [parts[best] + parts[best + 1]]
    return parts[0], parts[1]


def _add_weights(writer: gguf.GGUFWriter, n_vocabulary: int, random: np.random.Generator) -> None:
    def matrix(n_rows: int, n_columns: int) -> NDArray[np.float16]:
        values: NDArray[np.float16] = random.normal(0, n_columns**-0.5, (n_rows, n_columns)).astype(np.float16)
        return values

    writer.add_tensor("token_embd.weight", matrix(n_vocabulary, HIDDEN))
    writer.add_tensor("output.weight", matrix(n_vocabulary, HIDDEN))
    writer.add_tensor("output_norm.weight", np.ones(HIDDEN, np.float32))
    for layer in range(N_LAYERS):
        block = f"blk.{layer}"
        for name, width in (("q", N_HEADS * HEAD_DIM), ("k", N_KV_HEADS * HEAD_DIM), ("v", N_KV_HEADS * HEAD_DIM)):
            writer.add_tensor(f"{block}.attn_{name}.weight", matrix(width, HIDDEN))
            writer.add_tensor(f"{block}.attn_{name}.bias", np.zeros(width, np.float32))
        writer.add_tensor(f"{block}.attn_output.weight", matrix(HIDDEN, N_HEADS * HEAD_DIM))
        writer.add_tensor(f"{block}.ffn_gate.weight", matrix(FEED_FORWARD, HIDDEN))
        writer.add_tensor(f"{block}.ffn_up.weight", matrix(FEED_FORWARD, HIDDEN))
        writer.add_tensor(f"{block}.ffn_down.weight", matrix(HIDDEN, FEED_FORWARD))
        writer.add_tensor(f"{block}.attn_norm.weight", np.ones(HIDDEN, np.float32))
        writer.add_tensor(f"{block}.ffn_norm.weight", np.ones(HIDDEN, np.float32))
