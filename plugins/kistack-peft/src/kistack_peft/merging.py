"""Folding an adapter into its base. Heavy: imported only inside ``run``."""

from __future__ import annotations

import math

import torch
from kistack_torch.devices import dtype_name, set_deterministic
from kistack_torch.folders import copy_terms, folder_bytes
from kistack_torch.models import load_model, load_tokenizer, save_model

from kistack.errors import StepFailed
from kistack.plugins.stages import Context
from kistack_peft.adapters import base_of, stored_dtype
from kistack_peft.probing import mean_divergence, probe_texts, read
from kistack_peft.settings import MergeSettings


def merge(settings: MergeSettings, ctx: Context) -> dict[str, float]:
    """Merge in fp32, cast once, write, read back what was written and compare; returns its facts.

    Raises:
        ModelError: the adapter was trained on another base, or one of them cannot be loaded.
        StepFailed: the mean KL divergence per token exceeds the tolerance.
    """
    adapter = ctx.input("model")
    base = base_of(adapter)
    out = ctx.out("model")
    set_deterministic(0)
    tokenizer = load_tokenizer(adapter.path)
    model = load_model(base.path, dtype=torch.float32, device="cpu", adapter=adapter.path)
    texts = probe_texts(tokenizer, int(model.config.vocab_size))
    before = read(model, texts)
    ctx.progress(1, 3, "passes")
    dtype = stored_dtype(base)
    merged = model.merge_and_unload()
    params = merged.num_parameters()
    merged = merged.to(dtype)
    merged.config._name_or_path = ""  # noqa: SLF001 - a path of this machine would make equal models differ
    save_model(merged, tokenizer, out)
    copy_terms(base.path, out)
    del model, merged
    ctx.progress(2, 3, "passes")
    kl = mean_divergence(before, read(load_model(out, dtype=torch.float32, device="cpu"), texts))
    ctx.progress(3, 3, "passes", kl=kl if math.isfinite(kl) else -1.0)
    ctx.log(f"merged in fp32, stored as {dtype_name(dtype)}: mean KL to the unmerged adapter {kl:.2g} nats per token")
    if not kl <= settings.tolerance:
        raise StepFailed(
            f"merge/peft: after merging the model says something else: mean KL {kl:.3g} nats per token over "
            f"{len(texts)} texts, above the tolerance of {settings.tolerance:g}",
            "train with a lower learning_rate or alpha, keep the base in fp32, or set a higher tolerance",
        )
    return {"bytes": folder_bytes(out), "params": params, "kl": max(0.0, kl)}
