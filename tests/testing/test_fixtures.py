import bad.sound

from kistack.plugins.builtins import read_jsonl


def test_the_fixtures_are_what_they_say(tiny_corpus, tiny_pairs, tiny_items, tiny_model, tiny_encoder):
    kinds = [(a.kind, a.format) for a in (tiny_corpus, tiny_pairs, tiny_items, tiny_model, tiny_encoder)]
    assert kinds == [
        ("corpus", "jsonl"),
        ("pairs", "jsonl"),
        ("items", "jsonl"),
        ("model", "hf"),
        ("embedder", "sentence-transformers"),
    ]
    assert len(list(read_jsonl(tiny_corpus.path / "corpus.jsonl"))) == tiny_corpus.fact("count") == 40
    assert sum(f.stat().st_size for f in tiny_model.path.iterdir()) < 500_000


def test_the_index_finds_the_document(tiny_index):
    [[best, second]] = tiny_index.search(["Which colour has the bridge of Cham 4?"])
    assert best.document == "Cham 4.md"
    assert best.score > second.score


def test_the_host_has_the_plugin_alone(plugin_host):
    host = plugin_host(bad.sound)
    assert [n for n, e in host.stages.items() if e.plugin != "kistack"] == ["retrieve/sound"]


def test_the_tokenizer_reads_and_writes(tiny_tokenizer):
    from tokenizers import Tokenizer

    read = Tokenizer.from_file(str(tiny_tokenizer))
    assert read.decode(read.encode("the bridge, naïve").ids) == "the bridge, naïve"
