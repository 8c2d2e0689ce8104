"""A tiny model for all tests of this plugin, and a hub of one model that runs in this process."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import gguf
import numpy as np
import pytest
import torch
from kistack_torch import devices
from kistack_torch.testing import tiny_model
from safetensors.torch import load_file

COMMIT = "a" * 40


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    """A matrix of 32 columns is slower on two threads than on one, and waits for the other where cores are shared."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(devices, "threads", lambda: 1)
        yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("tiny") / "model")


@pytest.fixture(scope="session")
def second_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("tiny") / "second", seed=7, tied=False)


_GGUF_NAMES = {
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "lm_head": "output",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def write_gguf(folder: Path, path: Path, *, kind: gguf.GGMLQuantizationType = gguf.GGMLQuantizationType.F32) -> Path:
    """The llama in ``folder`` as a GGUF file, its matrices stored as ``kind``."""
    config = json.loads((folder / "config.json").read_text())
    document = json.loads((folder / "tokenizer.json").read_text())
    table = {**document["model"]["vocab"], **{t["content"]: t["id"] for t in document["added_tokens"]}}
    special = {t["content"] for t in document["added_tokens"]}
    tokens = sorted(table, key=table.__getitem__)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("tiny")
    writer.add_license("mit")
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_rope_dimension_count(config["head_dim"])
    writer.add_rope_freq_base(config["rope_parameters"]["rope_theta"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_vocab_size(config["vocab_size"])
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(tokens)
    writer.add_token_types([3 if t in special else 1 for t in tokens])
    writer.add_token_merges([" ".join(m) for m in document["model"]["merges"]])
    writer.add_bos_token_id(config["bos_token_id"])
    writer.add_eos_token_id(config["eos_token_id"])
    writer.add_pad_token_id(config["pad_token_id"])
    writer.add_unk_token_id(config["pad_token_id"])
    writer.add_add_bos_token(value=False)
    writer.add_chat_template((folder / "chat_template.jinja").read_text())
    for name, tensor in load_file(folder / "model.safetensors").items():
        _add(writer, name, tensor.numpy(), kind, config)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _add(writer: gguf.GGUFWriter, name: str, data: np.ndarray, kind: gguf.GGMLQuantizationType, config: dict) -> None:
    place = name.removesuffix(".weight")
    prefix = ""
    if place.startswith("model.layers."):
        _, _, layer, place = place.split(".", 3)
        prefix = f"blk.{layer}."
    rows = {"self_attn.q_proj": "num_attention_heads", "self_attn.k_proj": "num_key_value_heads"}.get(place)
    if rows:
        # llama.cpp turns neighbouring pairs, transformers the two halves of a head
        data = data.reshape(config[rows], 2, -1, data.shape[1]).swapaxes(1, 2).reshape(data.shape)
    full = prefix + _GGUF_NAMES[place] + ".weight"
    if data.ndim == 1 or kind == gguf.GGMLQuantizationType.F32:
        writer.add_tensor(full, np.ascontiguousarray(data, np.float32))
    elif kind == gguf.GGMLQuantizationType.F16:
        writer.add_tensor(full, np.ascontiguousarray(data, np.float16))
    else:
        writer.add_tensor(full, gguf.quants.quantize(np.ascontiguousarray(data, np.float32), kind), raw_dtype=kind)


@pytest.fixture(scope="session")
def gguf_file(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_gguf(model_folder, tmp_path_factory.mktemp("gguf") / "tiny.gguf")


@pytest.fixture(scope="session")
def packed_file(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    kind = gguf.GGMLQuantizationType.Q8_0
    return write_gguf(model_folder, tmp_path_factory.mktemp("gguf") / "packed.gguf", kind=kind)


@pytest.fixture
def hub_server(model_folder: Path) -> Iterator[SimpleNamespace]:
    """Serves ``org/tiny`` (the tiny model with a model card); ``asked`` lists the requests."""
    files = {p.name: p.read_bytes() for p in model_folder.iterdir()}
    files["README.md"] = b"---\nlicense: mit\n---\n# tiny\n"
    files["pytorch_model.bin"] = b"never to be fetched"
    asked: list[str] = []

    handler = type("Handler", (_Handler,), {"files": files, "asked": asked})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield SimpleNamespace(url=f"http://127.0.0.1:{server.server_port}", asked=asked, files=files)
    server.shutdown()
    server.server_close()
    thread.join()


class _Handler(BaseHTTPRequestHandler):
    """The few addresses of the hub that fetching a model asks for."""

    files: ClassVar[dict[str, bytes]]
    asked: ClassVar[list[str]]

    def log_message(self, *_args: object) -> None:
        pass

    def answer(self, body: bytes, code: int = 200, **headers: str) -> None:
        self.send_response(code)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        self.asked.append(f"{self.command} {self.path}")
        path = self.path.partition("?")[0]
        name = path.rpartition("/")[2]
        models = "/api/models/org/tiny"
        if path.startswith(f"{models}/tree/"):
            self.answer(json.dumps([{"type": "file", **_entry(n, b)} for n, b in self.files.items()]).encode())
        elif path in {models, f"{models}/revision/main", f"{models}/revision/{COMMIT}"}:
            self.answer(json.dumps(_info(self.files)).encode())
        elif path.startswith(f"{models}/revision/"):
            self.answer(b"{}", 404, X_Error_Code="RevisionNotFound")
        elif path.startswith("/api/models/org/gated"):
            self.answer(b"{}", 403, X_Error_Code="GatedRepo")
        elif path.startswith(f"/org/tiny/resolve/{COMMIT}/") and name in self.files:
            etag = f'"{hashlib.sha1(self.files[name]).hexdigest()}"'
            self.answer(self.files[name], ETag=etag, X_Repo_Commit=COMMIT)
        else:
            self.answer(b"{}", 404, X_Error_Code="RepoNotFound")


def _entry(name: str, body: bytes) -> dict[str, object]:
    return {"path": name, "size": len(body), "oid": hashlib.sha1(body).hexdigest()}


def _info(files: dict[str, bytes]) -> dict[str, object]:
    siblings = [{"rfilename": n, "size": len(b), "blobId": hashlib.sha1(b).hexdigest()} for n, b in files.items()]
    return {
        "id": "org/tiny",
        "modelId": "org/tiny",
        "sha": COMMIT,
        "private": False,
        "tags": [],
        "downloads": 0,
        "likes": 0,
        "siblings": siblings,
        "safetensors": {"parameters": {"F32": 47392}, "total": 47392},
    }
