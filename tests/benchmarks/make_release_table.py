"""Rebuild ``kistack/demo/releases.csv``, the demo's compact table, from a table of release facts.

Usage: ``python tests/benchmarks/make_release_table.py FACTS_CSV [-o OUT]``

FACTS_CSV has the columns product, title, cycle, fact (latest_patch, end_of_life, newest_cycle), as_of, value: what
the files under ``products/`` of https://github.com/endoflife-date/endoflife.date (MIT licence) said at these commits:

========== ============
as of      commit
========== ============
2022-07-01 6368f0505386
2023-07-01 5afd38ac1b17
2024-07-01 1ad7819a8a5c
2025-07-01 7ed4e4b5cb2e
2026-08-22 a70eca337600
========== ============

What is kept of them, so that the table stays small and yet changes as fast as the whole does:

- the products named below: widely used, cycles and versions plain dotted numbers, no two titles easily confused;
- per product about ``FACTS`` facts: cycles taken evenly from oldest to newest, each with all its facts;
- no version that only repeats the name of its cycle, for nothing can be learned from it;
- the newest cycle for every second product, since that fact changes in four years out of five and would otherwise
  outweigh the rest, and only where cycles are named like 3.14: a lone number such as 19 could be guessed.
"""

from __future__ import annotations

import argparse
import csv
import re
import sys
from collections import defaultdict
from pathlib import Path

DATES = ("2022-07-01", "2023-07-01", "2024-07-01", "2025-07-01", "2026-08-22")
FACTS = 10
KINDS = ("latest_patch", "end_of_life", "newest_cycle")
PRODUCTS = """
    android angular ansible apache-camel apache-hadoop apache-http-server apache-kafka apache-maven apache-spark
    arangodb blender cakephp centos centreon cert-manager cfengine clamav cockroachdb coldfusion composer
    confluence consul contao containerd couchbase-server dbt-core django docker-engine dotnet drupal electron
    elixir emberjs envoy erlang etcd fedora ffmpeg filemaker firefox fluent-bit freebsd gerrit gitlab godot gradle
    grafana graylog haproxy hashicorp-vault ios istio jenkins jhipster keda keycloak kong-gateway kotlin kubernetes
    laravel libreoffice linuxmint lua macos magento mariadb mastodon mattermost mediawiki meilisearch mongodb
    moodle mysql neo4j netbsd nextcloud nextjs nginx nixos nodejs nomad numpy openbsd opensuse openwrt opnsense
    perl php phpbb phpmyadmin plesk postfix postgresql powershell prometheus proxmox-ve puppet python qt rabbitmq
    rancher react red-hat-openshift redis rocket-chat roundcube ruby-on-rails rust scala silverstripe solr splunk
    spring-boot squid symfony tarantool telegraf terraform tomcat traefik typo3 ubuntu umbraco vue wagtail
    wordpress yocto zabbix zookeeper
"""

Timelines = dict[tuple[str, str, str], dict[str, str]]
NUMBERED = re.compile(r"\d+(\.\d+)*")
DOTTED = re.compile(r"\d+(\.\d+)+")


def read_timelines(path: Path) -> tuple[Timelines, dict[str, str]]:
    """The values by date of each (product, cycle, fact), and the title of each product."""
    timelines: Timelines = defaultdict(dict)
    titles: dict[str, str] = {}
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            value = as_iso_date(row["value"]) if row["fact"] == "end_of_life" else row["value"]
            timelines[row["product"], row["cycle"], row["fact"]][row["as_of"]] = value
            titles[row["product"]] = row["title"]
    return timelines, titles


def as_iso_date(text: str) -> str:
    """``2022-12-1``, which the source wrote once, as ``2022-12-01``."""
    year, month, day = text.split("-")
    return f"{int(year):04}-{int(month):02}-{int(day):02}"


def is_telling(key: tuple[str, str, str], values: dict[str, str]) -> bool:
    """Whether a timeline can carry a question: plain numbers, and not the cycle's own name over again."""
    _, cycle, fact = key
    if fact == "end_of_life":
        return NUMBERED.fullmatch(cycle) is not None
    if fact == "latest_patch":
        plain = all(DOTTED.fullmatch(v) for v in values.values()) and NUMBERED.fullmatch(cycle)
        return bool(plain) and set(values.values()) != {cycle}
    return all(DOTTED.fullmatch(v) for v in values.values())


def version_key(text: str) -> tuple[int, ...]:
    """Orders 3.9 before 3.10."""
    return tuple(int(part) for part in text.split("."))


def choose_cycles(keys: list[tuple[str, str, str]]) -> list[str]:
    """Cycles taken evenly from oldest to newest, so many that their facts come to about ``FACTS``."""
    cycles = sorted({cycle for _, cycle, _ in keys}, key=version_key)
    wanted = max(1, round(FACTS * len(cycles) / len(keys)))
    if wanted >= len(cycles):
        return cycles
    return [cycles[int((n + 0.5) * len(cycles) / wanted)] for n in range(wanted)]


def choose_rows(timelines: Timelines, titles: dict[str, str]) -> list[list[str]]:
    """The rows of the compact table, ordered by product, cycle and kind of fact."""
    rows = []
    numbered = 0
    for product in sorted(PRODUCTS.split()):
        keys = [k for k, values in timelines.items() if k[0] == product and is_telling(k, values)]
        of_cycles = [k for k in keys if k[2] != "newest_cycle"]
        cycles = choose_cycles(of_cycles)
        chosen = [k for k in of_cycles if k[1] in cycles]
        newest = [k for k in keys if k[2] == "newest_cycle"]
        if newest:
            numbered += 1
            chosen += newest if numbered % 2 else []
        chosen.sort(key=lambda k: (version_key(k[1]) if k[1] else (sys.maxsize,), KINDS.index(k[2])))
        rows += [[k[0], titles[k[0]], k[1], k[2], *(timelines[k].get(d, "") for d in DATES)] for k in chosen]
    return rows


def main() -> None:
    """Read the table named on the command line, write the compact one."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("facts", type=Path, help="the whole table of release facts (CSV)")
    default = Path(__file__).resolve().parents[2] / "kistack" / "demo" / "releases.csv"
    parser.add_argument("-o", "--output", type=Path, default=default, help="where the compact table goes")
    arguments = parser.parse_args()
    timelines, titles = read_timelines(arguments.facts)
    missing = [p for p in PRODUCTS.split() if p not in titles]
    if missing:
        sys.exit(f"{arguments.facts} has no facts about {', '.join(missing)}")
    rows = choose_rows(timelines, titles)
    with arguments.output.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["product", "title", "cycle", "fact", *DATES])
        writer.writerows(rows)
    print(f"{len(rows)} facts about {len(PRODUCTS.split())} products: {arguments.output}")


if __name__ == "__main__":
    main()
