"""What the documents are about: TF-IDF and a non-negative factorization, told by their strongest terms."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

#: Topics looked for, terms told of each, and fewer documents than this have none.
TOPICS, TERMS, LEAST_DOCUMENTS = 6, 3, 12
_WORD = r"(?u)\b[^\W\d_]{3,}\b"
#: Documents (evenly spaced) and characters of each that are read: topics are known well from some hundreds.
_SAMPLE, _CHARACTERS = 1_500, 3_000


def topics_of(texts: Sequence[str]) -> list[tuple[float, tuple[str, ...]]]:
    """Topics as (share of documents, strongest terms), the most frequent first; empty where too little is there.

    Lee and Seung, Learning the parts of objects by non-negative matrix factorization (Nature, 1999), as scikit-learn
    fits it; a document counts for its strongest topic. The same documents give the same topics.
    """
    sample = [t[:_CHARACTERS] for t in texts[:: max(1, len(texts) // _SAMPLE)]]
    if len(sample) < LEAST_DOCUMENTS:
        return []
    import numpy as np
    from sklearn.decomposition import NMF
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.feature_extraction.text import TfidfVectorizer

    words = TfidfVectorizer(max_features=2_000, min_df=2, max_df=0.5, stop_words="english", token_pattern=_WORD)
    try:
        table = words.fit_transform(sample)
    except ValueError:  # no word is frequent enough, or all are
        return []
    names = words.get_feature_names_out()
    model = NMF(min(TOPICS, *table.shape), init="nndsvda", random_state=0, max_iter=100, tol=1e-3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # topics need not be exact
        weights = model.fit_transform(table)
    strongest = weights.argmax(axis=1)[weights.max(axis=1) > 0]
    found = []
    for topic, terms in enumerate(model.components_):
        share = float(np.mean(strongest == topic)) if len(strongest) else 0.0
        top = [str(names[n]) for n in np.argsort(-terms, kind="stable")[:TERMS] if terms[n] > 0]
        if share and top:
            found.append((share, tuple(top)))
    return sorted(found, key=lambda f: (-f[0], f[1]))
