"""Collects figures over the rounds; shows medians, and ratios to one column, as Markdown."""

from collections.abc import Sequence
from statistics import median


class Table:
    """Figures by name and column, one of each a round."""

    def __init__(self, columns: Sequence[str], reference: str) -> None:
        """Figures of other columns are also shown divided by those of `reference`."""
        self._columns = columns
        self._reference = reference
        # By the figure's name, then by column; in the order in which they came.
        self._figures: dict[str, dict[str, list[float]]] = {}
        self._failures: list[str] = []

    def add(self, column: str, figures: dict[str, float]) -> None:
        """Take the figures of one round."""
        for name, figure in figures.items():
            self._figures.setdefault(name, {}).setdefault(column, []).append(figure)

    def add_failure(self, column: str, scenario: str, text: str) -> None:
        """Take what came instead of figures."""
        failure = f"{column}, {scenario}: {' '.join(text.split())[:200]}"
        if failure not in self._failures:
            self._failures.append(failure)

    def median(self, name: str, column: str) -> float | None:
        """Return the median of a figure over the rounds; None if there is none."""
        return self.medians(column).get(name)

    def medians(self, column: str) -> dict[str, float]:
        """Return the median of each figure that a column has."""
        return {
            name: median(by_column[column])
            for name, by_column in self._figures.items()
            if by_column.get(column)
        }

    def __bool__(self) -> bool:
        """Whether there is anything to show."""
        return bool(self._figures or self._failures)

    def markdown(self) -> str:
        """Return the table; behind a figure, in brackets, it divided by the reference."""
        lines = [
            f"| | {' | '.join(self._columns)} |",
            f"|---|{'---|' * len(self._columns)}",
            *(self._line(name, by_column) for name, by_column in self._figures.items()),
        ]
        if self._failures:
            lines += ["", "What failed:", "", *(f"- {failure}" for failure in self._failures)]
        return "\n".join(lines) + "\n"

    def _line(self, name: str, by_column: dict[str, list[float]]) -> str:
        reference = by_column.get(self._reference)
        divisor = median(reference) if reference else None
        cells = [
            _cell(by_column.get(column), None if column == self._reference else divisor)
            for column in self._columns
        ]
        return f"| {name} | {' | '.join(cells)} |"


def _cell(figures: list[float] | None, divisor: float | None) -> str:
    if not figures:
        return "-"
    middle = median(figures)
    shown = f"{middle:,.0f}" if middle >= 100 else f"{middle:.3g}"
    return f"{shown} ({middle / divisor:.2g}x)" if divisor else shown
