import pytest
import torch
from distill_toys import write_model
from kistack_distill.students import shallow
from kistack_torch.models import load_model
from transformers import GPT2Config, GPT2LMHeadModel, Qwen2Config, Qwen2ForCausalLM

from kistack.errors import ModelError


def test_a_student_has_its_teachers_layers(tmp_path):
    teacher = load_model(write_model(tmp_path).path, dtype=torch.bfloat16, device="cpu")
    student = shallow(teacher, (0, 2, 3))
    assert student.config.num_hidden_layers == 3
    assert student.dtype == torch.bfloat16
    for new, old in enumerate((0, 2, 3)):
        for name, weights in teacher.model.layers[old].state_dict().items():
            assert torch.equal(student.model.layers[new].state_dict()[name], weights), name
        assert student.model.layers[new].self_attn.layer_idx == new
    assert torch.equal(student.model.embed_tokens.weight, teacher.model.embed_tokens.weight)
    assert torch.equal(student.lm_head.weight, student.model.embed_tokens.weight)
    assert teacher.config.num_hidden_layers == 4


def test_all_layers_kept_it_is_its_teacher(tmp_path):
    teacher = load_model(write_model(tmp_path).path, dtype=torch.float32, device="cpu")
    ids = torch.arange(3, 30)[None]
    assert torch.equal(shallow(teacher, range(4))(input_ids=ids).logits, teacher(input_ids=ids).logits)


def test_what_a_layer_is_stays_with_it():
    config = Qwen2Config(
        vocab_size=50,
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=4,
        num_attention_heads=2,
        num_key_value_heads=2,
        layer_types=["full_attention", "sliding_attention", "full_attention", "sliding_attention"],
        use_sliding_window=True,
        sliding_window=4,
    )
    student = shallow(Qwen2ForCausalLM(config), (0, 3))
    assert student.config.layer_types == ["full_attention", "sliding_attention"]
    assert student(input_ids=torch.arange(9)[None]).logits.shape == (1, 9, 50)


def test_other_families_are_cut_as_well():
    torch.manual_seed(0)
    teacher = GPT2LMHeadModel(GPT2Config(vocab_size=50, n_embd=16, n_layer=4, n_head=2, n_positions=32)).eval()
    student = shallow(teacher, (0, 3))
    assert torch.equal(student.transformer.h[1].mlp.c_fc.weight, teacher.transformer.h[3].mlp.c_fc.weight)


def test_a_model_without_a_stack_of_layers_is_told():
    config = Qwen2Config(
        vocab_size=50,
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
    )
    with pytest.raises(ModelError, match="no single stack of 1 layers"):
        shallow(Qwen2ForCausalLM(config), (0,))
