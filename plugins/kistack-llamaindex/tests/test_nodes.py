import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kistack_llamaindex.nodes import EncoderEmbedding, embedded_text, make_nodes, passage_row
from kistack_llamaindex.settings import RetrieverSettings
from kistack_torch.embedding.bert import BertEncoder
from kistack_torch.embedding.layout import read_layout

from kistack.plugins.texts import Text


def words(text):
    return text.split()


def text(body, title="", name="d"):
    return Text(name, title, body, "2027-10-31", "part")


SENTENCES = " ".join(f"Sentence number {n} stands here." for n in range(40))


def test_a_short_document_is_one_passage_with_its_own_id():
    (node,) = make_nodes([text("The king.", "Castle")], RetrieverSettings(), words, 200)
    assert passage_row(node) == {
        "id": "d",
        "document": "d",
        "text": "The king.",
        "title": "Castle",
        "date": "2027-10-31",
        "part": "part",
    }
    assert embedded_text(node) == "Castle\nThe king."


@pytest.mark.parametrize(
    ("title", "embedded", "shown"),
    [
        ("none", "The king.", "The king."),
        ("embedding", "Castle\nThe king.", "The king."),
        ("text", "Castle\nThe king.", "Castle\nThe king."),
    ],
)
def test_the_title_goes_where_the_setting_says(title, embedded, shown):
    (node,) = make_nodes([text("The king.", "Castle")], RetrieverSettings(title=title), words, 200)
    assert (embedded_text(node), passage_row(node)["text"]) == (embedded, shown)


def test_a_title_that_the_text_names_is_not_repeated():
    (node,) = make_nodes([text("The CASTLE of the king.", "Castle")], RetrieverSettings(title="text"), words, 200)
    assert embedded_text(node) == passage_row(node)["text"] == "The CASTLE of the king."


def test_long_documents_are_cut_at_sentences_with_stable_ids(capsys):
    chosen = RetrieverSettings(chunk_tokens=24, overlap=6)
    nodes = list(make_nodes([text(SENTENCES, "A title of some words")], chosen, words, 200))
    assert [n.node_id for n in nodes[:3]] == ["d", "d#1", "d#2"]
    assert all(node.text.endswith("here.") for node in nodes)
    assert all(len(words(embedded_text(node))) <= 24 for node in nodes)
    assert nodes[0].text.split(". ")[-1] in nodes[1].text
    assert capsys.readouterr().out == ""


def test_no_passage_is_longer_than_the_embedder_reads():
    nodes = list(make_nodes([text(SENTENCES)], RetrieverSettings(), words, 16))
    assert all(len(words(node.text)) <= 16 for node in nodes)


def test_a_title_longer_than_a_passage_leaves_half_to_the_text():
    chosen = RetrieverSettings(chunk_tokens=20, overlap=4)
    nodes = list(make_nodes([text(SENTENCES, "word " * 100)], chosen, words, 200))
    assert all(1 <= len(words(node.text)) <= 10 for node in nodes)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.text("ab .!\n", min_size=1, max_size=300), st.text("ab ", max_size=12)), min_size=1, max_size=5
    ),
    st.integers(16, 40),
    st.integers(0, 15),
)
def test_every_word_of_every_document_is_in_some_passage(documents, size, overlap):
    texts = [text(body, title, f"d{n}") for n, (body, title) in enumerate(documents) if body.strip()]
    chosen = RetrieverSettings(chunk_tokens=size, overlap=overlap)
    nodes = list(make_nodes(texts, chosen, words, 100))
    assert len({node.node_id for node in nodes}) == len(nodes)
    for source in texts:
        passages = " ".join(passage_row(n)["text"] for n in nodes if n.ref_doc_id == source.id)
        assert set(words(source.text)) <= set(words(passages))


def test_the_encoder_is_a_llamaindex_embedding(embedder):
    encoder = BertEncoder(read_layout(embedder.path))
    embedding = EncoderEmbedding(encoder, batch=2)
    texts = ["king", "the red castle of the old king", "one"]
    assert embedding.get_text_embedding_batch(texts) == pytest.approx(encoder.encode(texts), abs=1e-6)
    assert embedding.get_text_embedding("king") == pytest.approx(encoder.encode(["king"])[0], abs=1e-6)
    assert embedding.get_query_embedding("king") == pytest.approx(encoder.encode(["king"], "query")[0], abs=1e-6)
