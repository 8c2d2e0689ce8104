import pytest
import torch
from distill_toys import record, write_model, write_pairs
from kistack_distill.objective import ResponseLoss
from kistack_distill.records import Signals
from kistack_distill.settings import TopKSettings
from kistack_torch.batching import padded_ids
from kistack_torch.examples import encode_pairs, read_pairs
from kistack_torch.models import encode_pair, load_model, load_tokenizer
from kistack_torch.splitting import SplitModel
from kistack_torch.training import Batch
from torch.nn import functional


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    root = tmp_path_factory.mktemp("scene")
    teacher, pairs = write_model(root / "teacher"), write_pairs(root / "pairs", 12)
    tokenizer = load_tokenizer(teacher.path)
    examples, _ = encode_pairs(
        read_pairs(pairs.path), lambda m, a: encode_pair(tokenizer, m, a), with_passages=True, max_length=1024
    )
    whole = record(root / "signals", teacher, pairs, TopKSettings(k=4096, dtype="fp32"))
    return teacher, Signals(whole.path), examples[:3], write_model(root / "student", seed=7, layers=2)


def _load(model):
    return load_model(model.path, dtype=torch.float32, device="cpu")


def _naive(teacher, student, ids, examples, alpha, temperature, *, everywhere):
    """Hinton et al. over the whole vocabulary, position by position."""
    hard, soft, answers, followed = 0.0, 0.0, 0, 0
    with torch.no_grad():
        theirs = teacher(input_ids=ids).logits
    ours = student(input_ids=ids).logits
    for line, example in enumerate(examples):
        for at in range(1, len(example)):
            if at >= example.prompt:
                hard = hard - functional.log_softmax(ours[line, at - 1], -1)[example.ids[at]]
                answers += 1
            if everywhere or at >= example.prompt:
                p = functional.softmax(theirs[line, at - 1] / temperature, -1)
                q = functional.log_softmax(ours[line, at - 1] / temperature, -1)
                soft = soft + (p * (p.log() - q)).sum()
                followed += 1
    return alpha * hard / answers + (1 - alpha) * temperature**2 * soft / followed, (answers, followed)


@pytest.mark.parametrize("everywhere", [True, False])
@pytest.mark.parametrize(("alpha", "temperature"), [(0.3, 2.0), (0.0, 1.0), (1.0, 4.0), (0.5, 4.0)])
def test_the_loss_and_its_gradient_are_the_papers(scene, alpha, temperature, everywhere):
    teacher, signals, examples, student = scene
    ids = torch.tensor(padded_ids(examples, 0))
    ours, theirs = _load(student), _load(student)
    expected, totals = _naive(_load(teacher), theirs, ids, examples, alpha, temperature, everywhere=everywhere)
    expected.backward()
    loss = ResponseLoss(signals, alpha=alpha, temperature=temperature, everywhere=everywhere)
    assert tuple(map(sum, zip(*(loss.terms(e) for e in examples), strict=True))) == totals
    batch = Batch(ids, tuple(examples), tuple(range(3)))
    found = loss.backward(SplitModel(ours), batch, totals)
    assert found == pytest.approx(float(expected.detach()), rel=2e-3)
    for (name, mine), reference in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        size = reference.grad.abs().max()
        assert torch.allclose(mine.grad, reference.grad, atol=float(5e-3 * size)), name


def test_a_student_like_its_teacher_has_nothing_to_learn(scene):
    teacher, signals, examples, _ = scene
    loss = ResponseLoss(signals, alpha=0.0, temperature=2.0, everywhere=True)
    batch = Batch(torch.tensor(padded_ids(examples, 0)), tuple(examples), tuple(range(3)))
    totals = [sum(column) for column in zip(*(loss.terms(e) for e in examples), strict=True)]
    assert loss.backward(SplitModel(_load(teacher)), batch, totals) == pytest.approx(0, abs=1e-4)


def test_what_it_depends_on_is_in_its_fingerprint(scene):
    _, signals, _, _ = scene
    plain = ResponseLoss(signals, alpha=0.3, temperature=2.0, everywhere=True).fingerprint()
    assert len(plain["signals"]) == 64
    assert plain != ResponseLoss(signals, alpha=0.4, temperature=2.0, everywhere=True).fingerprint()
