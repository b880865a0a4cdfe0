"""What a map of label numbers makes of the values that a label holds, without its voxels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

__all__ = ["renumbered_histogram", "unclear_labels"]


def unclear_labels(values: Iterable[int], new_numbers: Mapping[int, int]) -> Iterator[str]:
    """A sentence for each value that is not named, and is the new number of another one.

    Both would become one class in this case, or, where the other does not occur in it, in the dataset.

    Parameters
    ----------
    values
        Those that a label holds.
    new_numbers
        By the values of labels.
    """
    unnamed = set(values) - new_numbers.keys() - {0}
    for value in sorted(unnamed & set(new_numbers.values())):
        others = ", ".join(str(old) for old, new in new_numbers.items() if new == value)
        yield (
            f"label {value} occurs, which the label_map does not name, and {value} is the new number of {others}: they "
            f"would be one class. Name it, too: `{value}: {value}` if they are to be merged, or another number"
        )


def renumbered_histogram(histogram: Mapping[int, int], new_numbers: Mapping[int, int]) -> dict[int, int]:
    """How many voxels each label has once the labels have their new numbers."""
    counts: Counter[int] = Counter()
    for value, count in histogram.items():
        counts[new_numbers.get(value, value)] += count
    return dict(sorted(counts.items()))
