"""What the terms of a prediction say."""

from __future__ import annotations

from kistack.advisor.answerer import Answerer, teaches
from kistack.advisor.features import Change, Features
from kistack.units import format_count


def base(features: Features, state: Answerer) -> str:
    """What the untouched model brings."""
    size = features.params / 1e9
    probed = " (probed)" if any(name == "closed_book" for name, _, _ in features.measured) else ""
    if features.task == "behaviour":
        return f"a prompted model of {size:.2g} B shows {100 * state.skill:.0f} % of the wanted behaviour"
    known = f"a model of {size:.2g} B answers {100 * state.know:.0f} % of such facts from its weights{probed}"
    return known if features.task == "facts" else f"{known} and shows {100 * state.skill:.0f} % of the behaviour"


def retrieve(features: Features, state: Answerer) -> str:
    """What is found and read."""
    if features.task == "behaviour":
        return "no knowledge is missing, and passages in the prompt disturb the behaviour"
    if features.lookup == "everything":
        return f"the whole corpus stands in the prompt, and this model reads {100 * state.reading:.0f} % off it"
    found = (
        f"{features.passages:.0f} passages hold the answer for {100 * state.recall:.0f} % of the questions, "
        f"and this model reads it off {100 * state.reading:.0f} % of those"
    )
    return f"{found}; they are looked up only where it is unsure" if features.lookup == "gated" else found


def tune(features: Features, change: Change) -> str:
    """What a lesson teaches."""
    if change.data in {"raw_text", "paraphrases"}:
        return "training on raw text adds few facts and costs reading"
    if change.method == "rl":
        return "a reward teaches the reader to search and read"
    shown = "with" if change.with_passages else "without"
    reading = " and reading" if features.passages else ""
    return f"training on {change.pairs:.0f} pairs {shown} passages teaches form{reading}, not new facts"


def forgets(features: Features, found: float) -> bool:
    """Whether it is worth a word that a student finds only this share of the facts again."""
    return features.task != "behaviour" and found < 0.95  # noqa: PLR2004


def distill(features: Features, change: Change, loss: float, found: float) -> str:
    """What a student keeps and gains."""
    text = [f"the student learns from {change.pairs:.0f} pairs"]
    if change.ratio < 0.98:  # noqa: PLR2004 - rounding of parameter counts
        text.append(
            f"with {100 * change.ratio:.0f} % of the parameters, taught on {format_count(change.tokens)} tokens, "
            f"it keeps {100 * (1 - loss):.0f} % of the ability"
        )
        if forgets(features, found):
            text.append(f"on so few tokens it finds {100 * found:.0f} % of the facts again")
    if teaches(features, change):
        text.append(f"a teacher {change.teacher / features.params:.1f} times as large passes on part of what it can do")
    return "; ".join(text)


def quantize(change: Change, params: float, kept: float) -> str:
    """What fewer bits keep."""
    able = f"what a model of {params / 1e9:.2g} B can do"
    return f"{change.bits[1]:.1f} bits per weight keep {100 * kept:.1f} % of {able}"


def stale(features: Features, state: Answerer) -> str:
    """What is still true over the horizon."""
    days = features.retrain_days or features.horizon_days
    text = (
        f"at {100 * features.hazard:.2g} % changed per day, what weights hold is right for about "
        f"{100 * state.fresh_weights:.0f} % of facts over {days:.0f} days"
    )
    if not features.passages:
        return text
    every = "day" if features.refresh_days == 1 else f"{features.refresh_days:.0f} days"
    return f"{text}, an index made again every {every} for {100 * state.fresh_index:.1f} %"
