"""The shape of a model: its matrices, and how its parameters are spread over layers and vocabulary."""

from __future__ import annotations

from kistack.domain.artifacts import Type


def layer_matrices(model: Type) -> dict[str, tuple[float, float]]:
    """(inputs, outputs) of the linear projections of one layer, by their usual names.

    Llama-style unless the fact ``gated`` is 0: then the MLP has no gate (BERT, GPT-2, BLOOM).
    """
    hidden, ffn = model.fact("hidden"), model.fact("ffn")
    heads = max(1.0, model.fact("heads", 1.0))
    head_dim = model.fact("head_dim") or hidden / heads
    keys = (model.fact("kv_heads") or heads) * head_dim
    queries = heads * head_dim
    shapes = {
        "q_proj": (hidden, queries),
        "k_proj": (hidden, keys),
        "v_proj": (hidden, keys),
        "o_proj": (queries, hidden),
        "gate_proj": (hidden, ffn),
        "up_proj": (hidden, ffn),
        "down_proj": (ffn, hidden),
    }
    if not model.fact("gated", 1.0):
        del shapes["gate_proj"]
    return shapes


def key_width(model: Type) -> float:
    """Numbers that one token leaves in the keys of one layer, and again in its values."""
    return layer_matrices(model)["k_proj"][1]


def linear_params(model: Type) -> float:
    """Parameters of the linear layers, the vocabulary's left out.

    With ``encoder_layers`` the model is an encoder-decoder, whose ``layers`` attend twice: to themselves and to the
    encoder.
    """
    shapes = layer_matrices(model)
    attention = sum(shapes[n][0] * shapes[n][1] for n in ("q_proj", "k_proj", "v_proj", "o_proj"))
    one = sum(rows * columns for rows, columns in shapes.values())
    encoder = model.fact("encoder_layers")
    return model.fact("layers") * (one + (attention if encoder else 0.0)) + encoder * one


def embedding_params(model: Type) -> float:
    """Parameters of one vocabulary matrix (input embedding or output head)."""
    return model.fact("vocab") * model.fact("hidden")


def untied_params(model: Type) -> float:
    """Parameters of the input embedding where the output head is a matrix of its own, else 0.

    Told by the fact ``tied`` (1 or 0), else from the shape: what the layers and one vocabulary matrix do not explain is
    a second one. A lookup reads one row, so these weights count on disk and in memory but not in the time per token.
    """
    one = embedding_params(model)
    if "tied" in model.facts:
        return 0.0 if model.fact("tied") else one
    return one if one and model.fact("params") - linear_params(model) - one > one / 2 else 0.0


def layer_params(model: Type) -> float:
    """Parameters outside the vocabulary matrices."""
    return max(0.0, model.fact("params") - embedding_params(model) - untied_params(model))


def depth(model: Type) -> float:
    """Layers that the tokens of a prompt pass: those of the encoder where there is one."""
    return model.fact("encoder_layers") or model.fact("layers")


def is_shaped(model: Type) -> bool:
    """Whether the shape is known and explains the parameters to a few percent, so that matrices can be counted."""
    params = model.fact("params")
    if not all(model.fact(name) for name in ("params", "layers", "hidden", "ffn", "vocab")):
        return False
    explained = linear_params(model) + embedding_params(model) + untied_params(model)
    return abs(params - explained) <= 0.05 * params
