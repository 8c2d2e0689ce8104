import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from kistack_torch.losses import (
    TopK,
    cross_entropy,
    distribution,
    divergence,
    tail_logsumexp,
    top_k,
    top_k_divergence,
)
from torch.nn import functional

from kistack.errors import DataError


def _logits(rows, vocabulary, seed, scale=3.0):
    draw = torch.Generator().manual_seed(seed)
    return scale * torch.randn(rows, vocabulary, generator=draw, dtype=torch.float64)


def _teacher(logits, k, temperature):
    relative, ids = top_k(logits, k)
    return distribution(ids, relative, tail_logsumexp(logits, ids, [temperature])[:, 0], temperature)


def _naive_coarse(teacher, student, k, temperature):
    """The same divergence by the book: softmax over everything, buckets summed, autograd for the rest."""
    p, q = torch.softmax(teacher / temperature, -1), torch.softmax(student / temperature, -1)
    ids = teacher.topk(k, -1).indices
    p_in, q_in = p.gather(1, ids), q.gather(1, ids)
    value = (p_in * (p_in / q_in).log()).sum(-1)
    if k < teacher.shape[1]:
        p_out, q_out = 1 - p_in.sum(-1), 1 - q_in.sum(-1)
        value = value + p_out * (p_out / q_out).log()
    return value


def test_cross_entropy_by_hand():
    logits = torch.tensor([[0.0, 0.0], [2.0, 0.0]])
    expected = torch.log(torch.tensor(2.0)) + torch.log(1 + torch.exp(torch.tensor(-2.0)))
    assert torch.allclose(cross_entropy(logits.bfloat16(), torch.tensor([1, 0])), expected)


def test_divergence_is_torchs_own():
    teacher, student = _logits(5, 40, 0), _logits(5, 40, 1)
    reference = functional.kl_div(
        functional.log_softmax(student / 2, -1),
        functional.log_softmax(teacher / 2, -1),
        log_target=True,
        reduction="none",
    ).sum(-1)
    assert torch.allclose(divergence(teacher, student, 2.0).double(), reference, atol=1e-5)


def test_other_vocabularies_are_refused():
    with pytest.raises(DataError, match="different vocabularies"):
        divergence(torch.zeros(1, 4), torch.zeros(1, 5))


@pytest.mark.parametrize("temperature", [1.0, 2.0, 4.0])
@pytest.mark.parametrize("k", [1, 4, 19])
def test_top_k_divergence_and_its_gradient_against_the_naive_one(k, temperature):
    teacher, student = _logits(6, 20, 2), _logits(6, 20, 3)
    ours, naive = student.clone().requires_grad_(), student.clone().requires_grad_()
    value = top_k_divergence(ours, _teacher(teacher, k, temperature))
    expected = _naive_coarse(teacher, naive, k, temperature)
    weights = torch.arange(1.0, 7.0, dtype=torch.float64)
    (value * weights).sum().backward()
    (expected * weights).sum().backward()
    assert torch.allclose(value, expected, atol=1e-5)
    assert torch.allclose(ours.grad, naive.grad, atol=1e-5)


def test_gradient_by_differences():
    p = torch.tensor([[0.5, 0.2], [0.6, 0.1]], dtype=torch.float64)
    teacher = TopK(torch.tensor([[0, 3], [2, 1]]), p.log(), torch.tensor([0.3, 0.3], dtype=torch.float64).log(), 2.0)
    student = _logits(2, 5, 4).requires_grad_()
    assert torch.autograd.gradcheck(lambda z: top_k_divergence(z, teacher), (student,))


def test_a_whole_vocabulary_leaves_no_bucket():
    teacher, student = _logits(4, 12, 5), _logits(4, 12, 6)
    student.requires_grad_()
    value = top_k_divergence(student, _teacher(teacher, 12, 1.0))
    assert torch.allclose(value, divergence(teacher, student).double(), atol=1e-5)
    value.sum().backward()
    assert torch.isfinite(student.grad).all()


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 15), st.sampled_from([0.5, 1.0, 3.0]), st.floats(0.1, 20))
def test_coarsening_never_adds_divergence(seed, k, temperature, scale):
    teacher, student = _logits(3, 16, seed, scale), _logits(3, 16, seed + 1, scale)
    coarse = top_k_divergence(student, _teacher(teacher, k, temperature))
    assert (coarse >= -1e-4).all()
    assert (coarse <= divergence(teacher, student, temperature) + 1e-3).all()


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 15))
def test_a_student_like_its_teacher_has_nothing_to_learn(seed, k):
    teacher = _logits(3, 16, seed)
    student = (teacher + 5).requires_grad_()  # a shift of all logits is no change
    value = top_k_divergence(student, _teacher(teacher, k, 2.0))
    value.sum().backward()
    assert value.abs().max() < 1e-5
    assert student.grad.abs().max() < 1e-5


@pytest.mark.parametrize("temperature", [1.0, 2.0, 4.0])
def test_what_is_kept_gives_exact_probabilities_at_every_temperature(temperature):
    logits = _logits(5, 50, 7)
    kept = _teacher(logits, 8, temperature)
    full = functional.log_softmax(logits / temperature, -1)
    assert torch.allclose(kept.log_p.double(), full.gather(1, kept.ids), atol=1e-5)
    total = kept.log_p.exp().sum(-1) + kept.log_tail.exp()
    assert torch.allclose(total, torch.ones_like(total), atol=1e-5)


def test_extreme_logits_stay_finite():
    teacher = torch.tensor([[0.0, 0.0, 0.0, 0.0], [90.0, 0.0, 0.0, 0.0]])
    student = torch.tensor([[200.0, 0.0, 0.0, 0.0], [-200.0, 0.0, 0.0, 200.0]]).requires_grad_()
    value = top_k_divergence(student, _teacher(teacher, 1, 1.0))
    value.sum().backward()
    assert torch.isfinite(value).all()
    assert torch.isfinite(student.grad).all()


def test_gradient_keeps_the_students_format():
    student = _logits(2, 16, 8).bfloat16().requires_grad_()
    top_k_divergence(student, _teacher(_logits(2, 16, 9), 4, 1.0)).sum().backward()
    assert student.grad.dtype == torch.bfloat16
