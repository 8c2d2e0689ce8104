import pytest
import torch
from distill_toys import write_model
from kistack_distill.judging import distance
from kistack_torch.batching import Example
from kistack_torch.models import load_model
from kistack_torch.splitting import SplitModel
from torch.nn import functional

EXAMPLES = [Example(tuple(5 + (i * j) % 200 for j in range(1, 8 + 3 * i)), 4) for i in range(1, 6)]


@pytest.mark.parametrize("everywhere", [True, False])
def test_distance_is_the_mean_over_tokens(tmp_path, everywhere):
    teacher = load_model(write_model(tmp_path / "t").path, dtype=torch.float32, device="cpu")
    student = load_model(write_model(tmp_path / "s", seed=3).path, dtype=torch.float32, device="cpu")
    kl, same = [], []
    for e in EXAMPLES:
        first = 0 if everywhere else e.prompt - 1
        p, q = (m(input_ids=torch.tensor([e.ids])).logits[0, first:-1].log_softmax(-1) for m in (teacher, student))
        kl.append(functional.kl_div(q, p, log_target=True, reduction="none").sum(-1))
        same.append(p.argmax(-1) == q.argmax(-1))
    split = SplitModel(teacher), SplitModel(student)
    found = distance(*split, EXAMPLES, everywhere=everywhere, budget=64, pad=0)
    assert found.kl == pytest.approx(float(torch.cat(kl).mean().detach()), rel=1e-4)
    assert found.agreement == pytest.approx(float(torch.cat(same).float().mean()))
    assert distance(split[0], split[0], EXAMPLES, everywhere=everywhere, budget=64, pad=0).agreement == 1
    assert torch.is_grad_enabled()
