"""Seeded draws: which images go into a split, which remain under a limit, and which a bootstrap sample holds."""

import hashlib
from collections.abc import Sequence


def shuffled(keys: Sequence[str], seed: int) -> list[int]:
    """Return positions of `keys` in an order that depends on the keys and the seed alone.

    The order of one key relative to another never depends on the rest, so the first k of a draw are among the first
    k + 1, and files that a later import adds move nobody.
    """
    ranked = [(hashlib.sha256(f"{seed} {key}".encode()).digest(), key, position) for position, key in enumerate(keys)]
    return [position for _, _, position in sorted(ranked)]


def draw_fraction(keys: Sequence[str], labels: Sequence[int], fraction: float, seed: int) -> set[int]:
    """Return positions of about `fraction` of each class, at least one image of each."""
    drawn: set[int] = set()
    for positions in _by_label(labels).values():
        count = max(1, round(len(positions) * fraction))
        drawn.update(positions[i] for i in shuffled([keys[p] for p in positions], seed)[:count])
    return drawn


def draw_limited(keys: Sequence[str], labels: Sequence[int], *, total: int, per_class: int, seed: int) -> list[int]:
    """Return positions of at most `total` images, at most `per_class` of each class, sorted; 0 means no limit.

    A total is shared out in proportion to the class sizes by largest remainders; while it suffices, each class keeps
    an image.
    """
    groups = _by_label(labels)
    quotas = {label: min(len(group), per_class or len(group)) for label, group in groups.items()}
    if total and total < sum(quotas.values()):
        quotas = _share(quotas, total)
    kept: list[int] = []
    for label, positions in groups.items():
        order = shuffled([keys[p] for p in positions], seed)
        kept.extend(positions[i] for i in order[: quotas[label]])
    return sorted(kept)


def draw_bootstrap(keys: Sequence[str], labels: Sequence[int], *, seed: int) -> list[int]:
    """Return as many positions as there are images, drawn with replacement (Efron 1979; Breiman 1996), sorted.

    Where a class would be left out, one of its images takes the place of an image of the class drawn most: a network
    whose head knows a class must see it. The draw depends on the seed, the keys and the labels, not on their order.
    """
    ranked = shuffled(keys, 0)  # one order of them, whichever they came in
    drawn = [ranked[_number(seed, turn) % len(ranked)] for turn in range(len(ranked))]
    groups = _by_label(labels)
    turns = _by_label([labels[position] for position in drawn])
    for label in sorted(groups.keys() - turns.keys()):
        # Of a class drawn twice at least: there are as many draws as images, and one class has none.
        most = max(turns, key=lambda one: (len(turns[one]), -one))
        turns[label] = [turns[most].pop()]
        members = sorted(groups[label], key=keys.__getitem__)
        drawn[turns[label][0]] = members[_number(seed, len(ranked) + label) % len(members)]
    return sorted(drawn)


def _number(seed: int, turn: int) -> int:
    """Return a number that looks random, of 64 bits: the share of one image is off by less than one in 10^12."""
    return int.from_bytes(hashlib.sha256(f"bootstrap {seed} {turn}".encode()).digest()[:8], "big")


def _share(sizes: dict[int, int], total: int) -> dict[int, int]:
    everything = sum(sizes.values())
    exact = {label: size * total / everything for label, size in sizes.items()}
    quotas = {label: max(int(share), 1 if total >= len(sizes) else 0) for label, share in exact.items()}
    by_remainder = sorted(exact, key=lambda label: (quotas[label] - exact[label], label))
    while sum(quotas.values()) < total:
        for label in by_remainder:
            if sum(quotas.values()) < total and quotas[label] < sizes[label]:
                quotas[label] += 1
    floor = 1 if total >= len(sizes) else 0
    while sum(quotas.values()) > total:
        spare = [label for label, quota in quotas.items() if quota > floor]
        largest = max(spare, key=lambda label: (quotas[label] - exact[label], label))
        quotas[largest] -= 1
    return quotas


def _by_label(labels: Sequence[int]) -> dict[int, list[int]]:
    groups: dict[int, list[int]] = {}
    for position, label in enumerate(labels):
        groups.setdefault(label, []).append(position)
    return dict(sorted(groups.items()))
