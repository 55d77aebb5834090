"""What a Prometheus would see: the endpoint's answer, parsed by the client library's own parser."""

from __future__ import annotations

import urllib.request
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families


@dataclass(frozen=True)
class Scrape:
    """One answer: (metric, labels as sorted pairs) -> value."""

    samples: dict[tuple[str, tuple[tuple[str, str], ...]], float]

    def one(self, name: str, **labels: str) -> float | None:
        """The value of a sample whose labels are these."""
        return self.samples.get((name, tuple(sorted(labels.items()))))

    def of(self, name: str) -> dict[tuple[tuple[str, str], ...], float]:
        """All samples of a metric."""
        return {labels: value for (each, labels), value in self.samples.items() if each == name}

    def values(self, name: str, label: str) -> set[str]:
        """The values of a label."""
        return {dict(labels)[label] for labels in self.of(name)}


def scrape(url: str) -> Scrape:
    with urllib.request.urlopen(url, timeout=60) as answer:
        text = answer.read().decode()
    return Scrape(
        {
            (sample.name, tuple(sorted(sample.labels.items()))): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }
    )
