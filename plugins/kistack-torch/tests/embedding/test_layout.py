import json

import pytest
from kistack_torch.embedding.layout import read_layout

from kistack.errors import ModelError


@pytest.fixture
def folder(tmp_path):
    def write(modules=None, pooling=None, own=None, settings=None, dense=None):
        files = {
            "modules.json": modules,
            "1_Pooling/config.json": pooling,
            "config_sentence_transformers.json": own,
            "sentence_bert_config.json": settings,
            "2_Dense/config.json": dense,
        }
        for name, content in files.items():
            if content is not None:
                (tmp_path / name).parent.mkdir(exist_ok=True)
                (tmp_path / name).write_text(json.dumps(content))
        return tmp_path

    return write


def modules(*kinds, prefix="sentence_transformers.models."):
    paths = {"Transformer": "", "Pooling": "1_Pooling", "Dense": "2_Dense"}
    return [{"path": paths.get(kind, kind), "type": prefix + kind} for kind in kinds]


def test_a_usual_embedder(folder):
    layout = read_layout(
        folder(
            modules("Transformer", "Pooling", "Normalize"),
            {"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": False},
            settings={"max_seq_length": 256, "do_lower_case": True},
        )
    )
    assert (layout.pooling, layout.length, layout.lower_case, layout.normalised) == ("mean", 256, True, True)
    assert layout.prompts == {"query": "", "passage": ""}


def test_the_newer_form_of_the_same(folder):
    found = read_layout(
        folder(
            modules("Transformer", "Pooling", prefix="sentence_transformers.sentence_transformer.modules.x."),
            {"pooling_mode": "cls"},
            own={"prompts": {"query": "query: ", "document": "passage: "}, "similarity_fn_name": "cosine"},
        )
    )
    assert found.pooling == "cls"
    assert found.prompts == {"query": "query: ", "passage": "passage: "}
    assert found.normalised


def test_vectors_compared_by_their_product_keep_their_length(folder):
    layout = read_layout(folder(modules("Transformer", "Pooling"), {}, own={"similarity_fn_name": "dot"}))
    assert not layout.normalised


def test_a_bare_encoder_is_averaged(folder):
    layout = read_layout(folder())
    assert (layout.pooling, layout.length) == ("mean", 0)


def test_dense_layers_keep_their_activation(folder):
    dense = {"activation_function": "torch.nn.modules.activation.Tanh"}
    layout = read_layout(folder(modules("Transformer", "Pooling", "Dense"), {}, dense=dense))
    assert [d.activation for d in layout.dense] == ["Tanh"]


@pytest.mark.parametrize(
    ("kinds", "pooling", "own", "dense", "named"),
    [
        (["Transformer", "Pooling", "CNN"], {}, None, None, "CNN"),
        (["Pooling"], {}, None, None, "no transformer"),
        (["Transformer", "Pooling"], {"pooling_mode": "weightedmean"}, None, None, "weightedmean"),
        (["Transformer", "Pooling"], {"pooling_mode": ["cls", "mean"]}, None, None, r"cls\+mean"),
        (["Transformer", "Pooling"], {"include_prompt": False}, None, None, "pooling"),
        (["Transformer", "Pooling"], {}, {"similarity_fn_name": "manhattan"}, None, "manhattan"),
        (["Transformer", "Pooling", "Dense"], {}, None, {"use_residual": True}, "dense"),
        (["Transformer", "Pooling"], None, None, None, "cannot be read"),
    ],
)
def test_what_cannot_be_computed_is_refused_by_name(folder, kinds, pooling, own, dense, named):
    with pytest.raises(ModelError, match=named) as caught:
        read_layout(folder(modules(*kinds), pooling, own, dense=dense))
    assert caught.value.hint


def test_a_damaged_file_is_named(tmp_path):
    (tmp_path / "modules.json").write_text("[{")
    with pytest.raises(ModelError, match=r"modules\.json"):
        read_layout(tmp_path)
