"""The trials of a sweep as a picture: one panel for each parameter, one dot for each trial. Plain SVG, nothing to install."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from xml.sax.saxutils import escape

WIDTH, HEIGHT, MARGIN = 260, 220, 48
Row = dict[str, Any]


def svg(table: Sequence[Row], parameters: Sequence[str], metric: str) -> str:
    """Every trial that has the metric, over each parameter's values in their order (not to scale)."""
    rows = [row for row in table if isinstance(row[metric], int | float)]
    low, high = min(row[metric] for row in rows), max(row[metric] for row in rows)
    panels = [_panel(rows, name, metric, (low, high), WIDTH * number) for number, name in enumerate(parameters)]
    size = f'width="{WIDTH * len(parameters)}" height="{HEIGHT}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="11">'
    return "\n".join([head, '<rect width="100%" height="100%" fill="white"/>', *panels, "</svg>", ""])


def _panel(rows: Sequence[Row], name: str, metric: str, span: tuple[float, float], left: int) -> str:
    values = sorted({row[name] for row in rows}, key=lambda value: (isinstance(value, str), value))
    right, bottom = left + WIDTH - 12, HEIGHT - MARGIN
    low, high = span

    def x(value: Any) -> float:
        return left + MARGIN + (right - left - MARGIN) * (values.index(value) + 0.5) / len(values)

    def y(value: float) -> float:
        return bottom - 8 - (bottom - 36) * ((value - low) / (high - low) if high > low else 0.5)

    parts = [
        f'<path d="M{left + MARGIN} 20V{bottom}H{right}" fill="none" stroke="#888"/>',
        f'<text x="{left + MARGIN}" y="14">{escape(metric)}</text>',
        f'<text x="{(left + MARGIN + right) / 2}" y="{HEIGHT - 10}" text-anchor="middle">{escape(name)}</text>',
    ]
    parts += [
        f'<text x="{left + MARGIN - 5}" y="{y(value) + 4:.1f}" text-anchor="end">{value:.4g}</text>'
        for value in sorted({low, high})
    ]
    for value in values:
        text = escape(f"{value:g}" if isinstance(value, float) else str(value))
        parts.append(f'<text x="{x(value):.1f}" y="{bottom + 16}" text-anchor="middle">{text}</text>')
    for row in rows:
        title = escape(f"trial {row['trial']}: {name} {row[name]}, {metric} {row[metric]:.4g}")
        dot = f'cx="{x(row[name]):.1f}" cy="{y(row[metric]):.1f}" r="4" fill="#0067b8" fill-opacity="0.6"'
        parts.append(f"<circle {dot}><title>{title}</title></circle>")
    return "\n".join(parts)
