"""The figures of `stress` as pictures: plain SVG that follows the reader's light or dark screen."""

from html import escape
from typing import Any

_STYLE = (
    "text{font:13px system-ui,sans-serif;fill:#24292f}.small{font-size:11px;fill:#57606a}.grid{stroke:#d0d7de}"
    ".chance{stroke:#8c959f;stroke-dasharray:4 3}.model{fill:#0969da;stroke:#0969da}.control{fill:#9a6700;stroke:#9a6700}"
    ".person{fill:#0969da;fill-opacity:.35}.seen{fill:none;stroke:#8c959f}.bar{stroke:#0969da;stroke-width:2}"
    "@media(prefers-color-scheme:dark){text{fill:#e6edf3}.small{fill:#9198a1}.grid{stroke:#3d444d}.chance{stroke:#6e7681}"
    ".model{fill:#4493f8;stroke:#4493f8}.control{fill:#d29922;stroke:#d29922}.person{fill:#4493f8;fill-opacity:.4}"
    ".seen{stroke:#6e7681}.bar{stroke:#4493f8}}"
)
_LEFT, _PLOT, _ROW = 250, 520, 30
_CONTROLS = (
    ("logistic_regression", "logistic regression"),
    ("clock_only", "elapsed time alone"),
    ("leaky_split", "leaky: windows split at random"),
)


def discrimination(results: list[tuple[str, dict[str, Any]]]) -> str:
    """AUROC of the model with its interval, of every person, and of the controls, for each set (title, result of `stress`)."""
    parts: list[str] = []
    top = 34
    for title, result in results:
        parts.append(f'<text x="12" y="{top}" font-weight="600">{escape(title)}</text>')
        rows = [_model_row(result, top + _ROW)]
        seen = [one["auroc"] for one in result["per_person"] if one["person"] in result["in_training"]]
        if seen:
            rows.append(_row("people in training (not counted)", top + 2 * _ROW, _dots(seen, top + 2 * _ROW, "seen")))
        for name, label in _CONTROLS:
            y = top + _ROW * (len(rows) + 1)
            rows.append(_row(label, y, _mark(result["controls"][name]["auroc"], y, "control")))
        parts += rows
        top += _ROW * (len(rows) + 1) + 18
    scale = "".join(
        f'<line class="{"chance" if tenth == 5 else "grid"}" x1="{x}" x2="{x}" y1="44" y2="{top - 18}"/>'
        f'<text class="small" x="{x}" y="{top}" text-anchor="middle">{tenth / 10:.1f}</text>'
        for tenth in range(11)
        for x in [_x(tenth / 10)]
    )
    legend = "AUROC; small dots: one person each; bar: 95 % interval; dashed: chance"
    body = scale + "".join(parts) + f'<text class="small" x="{_LEFT}" y="{top + 22}">{legend}</text>'
    return _svg(_LEFT + _PLOT + 70, top + 36, "AUROC by set: the shipped model, its people, and the controls", body)


def reliability(calibration: dict[str, Any]) -> str:
    """How often each level of strain was strain: dots as large as their share of the windows, on the diagonal if calibrated."""
    left, top, side = 60, 20, 320
    total = max(1, sum(one["n"] for one in calibration["bins"]))
    parts = [f'<line class="chance" x1="{left}" y1="{top + side}" x2="{left + side}" y2="{top}"/>']
    for quarter in range(5):
        at = quarter * side / 4
        parts.append(f'<line class="grid" x1="{left}" x2="{left + side}" y1="{top + at:g}" y2="{top + at:g}"/>')
        parts.append(f'<text class="small" x="{left - 8}" y="{top + at + 4:g}" text-anchor="end">{1 - quarter / 4:g}</text>')
        parts.append(f'<text class="small" x="{left + at:g}" y="{top + side + 18}" text-anchor="middle">{quarter / 4:g}</text>')
    for one in calibration["bins"]:
        x, y = left + one["probability"] * side, top + (1 - one["share"]) * side
        size = 3 + 22 * (one["n"] / total) ** 0.5
        tip = f"strain {one['low']:g}–{one['high']:g}: {one['n']} windows, {one['share']:.0%} of them in a task"
        parts.append(f'<circle class="person" cx="{x:.1f}" cy="{y:.1f}" r="{size:.1f}"><title>{escape(tip)}</title></circle>')
        parts.append(f'<circle class="model" cx="{x:.1f}" cy="{y:.1f}" r="2.5"/>')
    parts.append(f'<text class="small" x="{left + side / 2:g}" y="{top + side + 38}" text-anchor="middle">strain, as shown</text>')
    aside = f'x="16" y="{top + side / 2:g}" transform="rotate(-90 16 {top + side / 2:g})"'
    parts.append(f'<text class="small" {aside} text-anchor="middle">share in a task</text>')
    return _svg(left + side + 30, top + side + 50, "Calibration on people the model was not trained on", "".join(parts))


def _model_row(result: dict[str, Any], y: int) -> str:
    model = result["model"]
    counted = [one["auroc"] for one in result["per_person"] if one["person"] not in result["in_training"]]
    interval = model["ci95"].get("auroc_int8")
    bar = f'<line class="bar" x1="{_x(interval[0])}" x2="{_x(interval[1])}" y1="{y - 4}" y2="{y - 4}"/>' if interval else ""
    return _row("shipped model (int8)", y, _dots(counted, y, "person") + bar + _mark(model["auroc_int8"], y, "model"))


def _row(label: str, y: int, marks: str) -> str:
    return f'<text x="{_LEFT - 14}" y="{y}" text-anchor="end">{escape(label)}</text>{marks}'


def _dots(values: list[float | None], y: int, style: str) -> str:
    known = [value for value in values if value is not None]
    return "".join(f'<circle class="{style}" cx="{_x(value)}" cy="{y - 4}" r="4.5"/>' for value in known)


def _mark(value: float | None, y: int, style: str) -> str:
    if value is None:
        return f'<text class="small" x="{_LEFT}" y="{y}">none</text>'
    x = _x(value)
    figure = f'<text class="small" x="{_LEFT + _PLOT + 14}" y="{y}">{value:.3f}</text>'
    return f'<rect class="{style}" x="{x - 4}" y="{y - 8}" width="8" height="8" transform="rotate(45 {x} {y - 4})"/>{figure}'


def _x(value: float) -> float:
    return round(_LEFT + value * _PLOT, 1)


def _svg(width: int, height: int, title: str, body: str) -> str:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" role="img">'
    return f"{head}<title>{escape(title)}</title><style>{_STYLE}</style>{body}</svg>\n"
