import torch
from kistack_peft.probing import mean_divergence, probe_texts
from kistack_torch.testing import tiny_tokenizer


def test_probe_texts_are_fixed_and_within_the_vocabulary():
    tokenizer = tiny_tokenizer()
    texts = probe_texts(tokenizer, 300)
    assert texts == probe_texts(tokenizer, 300)
    assert len(texts) == 6
    assert all(0 <= i < 320 for ids in texts for i in ids)
    assert max(texts[-1]) < 300


def test_mean_divergence_is_over_all_tokens():
    one, two = torch.zeros(1, 2), torch.zeros(3, 2)
    other = torch.tensor([[100.0, 0.0]])  # a distribution on one of two tokens: KL(uniform to it) is about 50 - log 2
    expected = (50 - torch.log(torch.tensor(2.0))) / 4
    assert abs(mean_divergence([one, two], [other, two]) - float(expected)) < 1e-3
