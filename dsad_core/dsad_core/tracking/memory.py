"""Confirmed tracks out of sight: their places are carried on in the scene, and what appears there is they again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from dsad_core.tracking.assignment import assign
from dsad_core.tracking.bank import Bank
from dsad_core.tracking.life import Life
from dsad_core.tracking.track import TrackState


def is_away(lives: Sequence[Life]) -> np.ndarray:
    """(N,) bool: tracks out of sight that may come back."""
    return np.array([life.away for life in lives], bool)


def leave(bank: Bank, row: int, life: Life, now: float) -> None:
    """Put a track out of sight, or note that its place is still out of view."""
    if not life.away:
        life.left_at = now
        bank.straighten(row, now)
    life.away_at = now


def is_awaited(bank: Bank, lives: Sequence[Life], gate: float) -> np.ndarray:
    """(N,) bool: tracks out of sight at whose place something new was seen, which is not confirmed yet."""
    awaited, away = np.zeros(len(lives), bool), np.flatnonzero(is_away(lives))
    new = [row for row, life in enumerate(lives) if life.state is TrackState.TENTATIVE]
    if len(away) and new:
        squared, _ = bank.distances(bank.position[new], bank.pp[new])
        awaited[away] = np.any(squared[away] <= gate**2, axis=1)
    return awaited


def recognise(
    bank: Bank, lives: list[Life], newcomers: list[int], alive: np.ndarray, gate: float
) -> set[int]:
    """Rows of newcomers that are tracks come back: each goes on in the row of its track, so ``alive`` loses it.

    Args:
        newcomers: rows that were just confirmed, or seen above the threshold.
        alive: (N,) bool, changed in place.
        gate: largest Mahalanobis distance between a newcomer and a track's place.
    """
    away = np.flatnonzero(is_away(lives) & alive)
    if not len(away) or not newcomers:
        return set()
    rows = np.array(newcomers, int)
    squared, _ = bank.distances(bank.position[rows], bank.pp[rows])
    cost = np.where(squared[away] <= gate**2, squared[away], np.inf)
    pairs = [(int(away[i]), int(rows[j])) for i, j in assign(cost, gate**2 + 1.0)]
    for old, new in pairs:
        bank.resume(old, new)
        was, now = lives[old], lives[new]
        lives[old] = replace(
            now,
            id=was.id,
            born=was.born,
            hits=was.hits + now.hits,
            state=TrackState.CONFIRMED,
            motion=was.motion,
        )
        alive[new] = False
    return {new for _, new in pairs}
