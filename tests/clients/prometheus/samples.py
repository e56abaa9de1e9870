"""Reads an exposition as Prometheus' own Python client does, and prints its samples as JSON lines.

samples.py < exposition > {"family", "kind", "help", "name", "labels", "value"}
"""

import json
import sys

from prometheus_client.parser import text_string_to_metric_families

seen = set()
for family in text_string_to_metric_families(sys.stdin.read()):
    if family.name in seen:
        sys.exit(f"{family.name} is there twice")
    seen.add(family.name)
    for sample in family.samples:
        print(
            json.dumps(
                {
                    "family": family.name,
                    "kind": family.type,
                    "help": family.documentation,
                    "name": sample.name,
                    "labels": sample.labels,
                    "value": sample.value,
                }
            )
        )
