"""The model card: facts as JSON, and the page that people read, made from it."""

import hashlib
import json
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import zenmoon_edge.models

LICENCE = "Apache-2.0"
SHIPPED = Path(zenmoon_edge.models.__file__).parent


class Section(NamedTuple):
    """A part of the page: a heading, sentences, and a table where `columns` is not empty (numbers are written with 3 digits)."""

    title: str
    text: str
    columns: Sequence[str] = ()
    rows: Sequence[Sequence[Any]] = ()


def data_facts(source: Any, *, population: str, sha256: str) -> dict[str, str]:
    """What a card says of its data; `source` has NAME, LICENCE and CITATION, as the readers of `datasets` do."""
    return {
        "name": source.NAME,
        "licence": source.LICENCE,
        "citation": source.CITATION,
        "population": population,
        "sha256": sha256,
    }


def card(
    name: str,
    model: bytes,
    *,
    purpose: str,
    limits: list[str],
    data: dict[str, str],
    training: list[str],
    held_out: list[str],
    settings: dict[str, Any],
    sources: Sequence[str],
    figures: dict[str, Any],
) -> dict[str, Any]:
    """Everything that is known about a model file.

    Args:
        name: of the model; the card's name is that and the beginning of the file's hash.
        model: the file.
        purpose, limits: sentences.
        data: from `data_facts`.
        training, held_out: names of people.
        settings: of the training.
        sources: see `code_digest`.
        figures: of the people held out, numbers rounded as they shall stand.
    """
    digest = hashlib.sha256(model).hexdigest()
    return {
        "name": f"{name}-{digest[:4]}",
        "file": {"sha256": digest, "bytes": len(model), "licence": LICENCE},
        "purpose": purpose,
        "limits": limits,
        "data": data,
        "training": training,
        "held_out": held_out,
        "settings": settings,
        "code_sha256": code_digest(sources),
        "held_out_figures": figures,
    }


def write(out: Path, name: str, model: bytes, facts: dict[str, Any], text: str) -> Path:
    """Writes NAME.tflite, NAME.json and NAME.md into `out`, and returns the path of the first."""
    out.mkdir(parents=True, exist_ok=True)
    (out / f"{name}.json").write_text(json.dumps(facts, indent=2, ensure_ascii=False, allow_nan=False) + "\n", "utf-8")
    (out / f"{name}.md").write_text(text, "utf-8")
    path = out / f"{name}.tflite"
    path.write_bytes(model)
    return path


def code_digest(sources: Sequence[str]) -> str:
    """SHA-256 over names and bytes of the modules that decide a result, as `zenmoon_edge.core.features`, in their order.

    The runner's own modules need not be named: whatever they hold, they give TensorFlow Lite Micro's integers.
    """
    total = hashlib.sha256()
    for name in sources:
        path = _path(name)
        total.update(name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


def page(facts: dict[str, Any], sections: Sequence[Section], *, command: str) -> str:
    """The card as Markdown; the same facts give the same text."""
    limits = "\n".join(f"- {limit}" for limit in facts["limits"])
    settings = ", ".join(f"{name} {value}" for name, value in facts["settings"].items())
    data = facts["data"]
    people = [("Training", facts["training"]), ("Held out", facts["held_out"])]
    named = "".join(f"{title}: {', '.join(names)}.\n" for title, names in people if names)
    return f"""# {facts["name"]}

{facts["purpose"][:1].upper()}{facts["purpose"][1:]}.

{limits}

Data: {data["name"]} ({data["population"]}, {data["licence"]}). {data["citation"]}.

{"".join(_section(section) for section in sections)}## How it was made
`{command}`: {settings}.
{named}
File: {facts["file"]["bytes"]} bytes, SHA-256 `{facts["file"]["sha256"]}`
Data: SHA-256 `{data["sha256"]}`
Code: SHA-256 `{facts["code_sha256"]}`
"""


def _section(section: Section) -> str:
    table = ""
    if section.columns:
        lines = [section.columns, ["---"] * len(section.columns), *section.rows]
        table = "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines) + "\n\n"
    text = f"{section.text}\n\n" if section.text else ""
    return f"## {section.title}\n{text}{table}"


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _path(name: str) -> Path:
    # Without importing what it names: a digest must not need TensorFlow.
    package, *rest = name.split(".")
    root = Path(import_module(package).__path__[0])
    return root.joinpath(*rest).with_suffix(".py")
