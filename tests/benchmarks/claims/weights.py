"""Claims: an adapter trains 1 to 3 % of the weights; a student can be 10 times smaller than its teacher.

    python tests/benchmarks/claims/weights.py

Counts, not timings: of adapters as peft makes them for the plugin's settings on the demo's base model, without
reading its weights, and of larger models by the plugin's formula; and of students that keep one in so many layers.
"""

from __future__ import annotations

from common import BASE

RANKS = (4, 8, 16, 32, 64)


def counted(config, rank, targets):
    """Trained and all weights of the model with an adapter, on a device that holds no numbers."""
    import torch
    from kistack_peft.adapters import attach
    from kistack_peft.settings import LoraSettings
    from transformers import AutoModelForCausalLM

    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
        whole = sum(p.numel() for p in model.parameters())
        tuned = attach(model, LoraSettings(rank=rank, targets=targets))
        return sum(p.numel() for p in tuned.parameters() if p.requires_grad), whole


def main():
    from kistack_transformers.sources import PackageSource
    from transformers import LlamaConfig

    from kistack.plugins.costs import lora_params
    from kistack.plugins.costs.shapes import embedding_params, layer_params

    source = PackageSource()
    found = source.inspect(source.Settings(reference=BASE, role="model"))
    config = LlamaConfig(
        vocab_size=int(found.fact("vocab")), hidden_size=int(found.fact("hidden")),
        intermediate_size=int(found.fact("ffn")), num_hidden_layers=int(found.fact("layers")),
        num_attention_heads=int(found.fact("heads")), num_key_value_heads=int(found.fact("kv_heads")),
        tie_word_embeddings=True,
    )  # fmt: skip
    print("| model | targets | " + " | ".join(f"rank {r}" for r in RANKS) + " |\n|---|---|" + "---|" * len(RANKS))
    for targets in ("all-linear", "attention"):
        shares = []
        for rank in RANKS:
            trained, whole = counted(config, rank, targets)
            assert trained == lora_params(found, rank, targets), "the formula disagrees with peft"
            shares.append(f"{100 * trained / whole:.2f} %")
        print(f"| SmolLM2-135M | {targets} | " + " | ".join(shares) + " |")
    for name, model in published():
        for targets in ("all-linear", "attention"):
            shares = [f"{100 * lora_params(model, r, targets) / model.fact('params'):.2f} %" for r in RANKS]
            print(f"| {name} | {targets} | " + " | ".join(shares) + " |")
    layers, rest = found.fact("layers"), found.fact("params") - layer_params(found)
    print(f"\nvocabulary: {100 * embedding_params(found) / found.fact('params'):.0f} % of the weights")
    for step in (2, 3, 5, 10, 30):
        kept = len(range(0, int(layers), step))
        size = rest + layer_params(found) * kept / layers
        print(f"one layer in {step} kept: {found.fact('params') / size:.2f} times smaller")


def published():
    """Larger models of the Llama family, by their published configurations."""
    from kistack.domain.artifacts import Type

    rows = (
        ("SmolLM2-1.7B", 1.711e9, 24, 2048, 32, 32, 64, 8192, 49152),
        ("Llama-3.2-1B", 1.236e9, 16, 2048, 32, 8, 64, 8192, 128256),
        ("Llama-3.1-8B", 8.030e9, 32, 4096, 32, 8, 128, 14336, 128256),
        ("Qwen2.5-7B", 7.616e9, 28, 3584, 28, 4, 128, 18944, 152064),
    )
    names = ("params", "layers", "hidden", "heads", "kv_heads", "head_dim", "ffn", "vocab")
    for name, *numbers in rows:
        yield name, Type("model", "hf", {}, dict(zip(names, numbers, strict=True)))


if __name__ == "__main__":
    main()
