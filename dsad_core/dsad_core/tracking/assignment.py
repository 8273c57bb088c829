"""Which detection belongs to which track: the pairing of the least total cost.

Gating leaves clusters of one to three tracks, so the assignment is solved cluster by cluster with the
shortest augmenting path in forty lines. ``scipy.optimize.linear_sum_assignment`` gives the same pairs and
would add 100 MB to a robot for them.
"""

import numpy as np


def assign(cost: np.ndarray, limit: np.ndarray | float) -> list[tuple[int, int]]:
    """One-to-one pairs (row, column) that minimise the sum of (cost - limit) over the pairs.

    Every pair costs less than its limit, so leaving a row alone costs 0 and pairing it is a gain.

    Args:
        cost: (N, M) float64; inf or NaN where a pair is impossible.
        limit: what it costs to leave a row and a column alone, broadcast to (N, M).

    Returns:
        Pairs in ascending order of the row.
    """
    gain = np.broadcast_to(np.asarray(limit, np.float64), cost.shape) - cost
    possible = gain > 0  # False for NaN and -inf too
    pairs: list[tuple[int, int]] = []
    for rows, columns in _clusters(possible):
        if len(rows) == 1:
            best = int(np.argmax(np.where(possible[rows[0], columns], gain[rows[0], columns], -1.0)))
            pairs.append((rows[0], columns[best]))
        elif len(columns) == 1:
            best = int(np.argmax(np.where(possible[rows, columns[0]], gain[rows, columns[0]], -1.0)))
            pairs.append((rows[best], columns[0]))
        else:
            block = np.where(possible[np.ix_(rows, columns)], gain[np.ix_(rows, columns)], 0.0)
            found = _shortest_paths(-block)
            pairs += [(rows[i], columns[j]) for i, j in found if block[i, j] > 0]
    return sorted(pairs)


def _clusters(possible: np.ndarray) -> list[tuple[list[int], list[int]]]:
    """Connected parts of the bipartite graph that hold at least one pair."""
    rows_of: list[list[int]] = [[] for _ in range(possible.shape[1])]
    columns_of: list[list[int]] = [[] for _ in range(possible.shape[0])]
    for row, column in np.argwhere(possible).tolist():
        rows_of[column].append(row)
        columns_of[row].append(column)
    seen: set[int] = set()
    clusters = []
    for start, columns in enumerate(columns_of):
        if start in seen or not columns:
            continue
        rows, reached, queue = [], set(), [start]
        seen.add(start)
        while queue:
            row = queue.pop()
            rows.append(row)
            for column in columns_of[row]:
                if column not in reached:
                    reached.add(column)
                    fresh = [other for other in rows_of[column] if other not in seen]
                    seen.update(fresh)
                    queue += fresh
        clusters.append((sorted(rows), sorted(reached)))
    return clusters


def _shortest_paths(cost: np.ndarray) -> list[tuple[int, int]]:
    """Least-cost assignment of every row or every column of a finite matrix (Jonker and Volgenant 1987)."""
    if cost.shape[0] > cost.shape[1]:
        return [(row, column) for column, row in _shortest_paths(cost.T)]
    count, width = cost.shape
    row_price, column_price = np.zeros(count + 1), np.zeros(width + 1)
    owner = np.zeros(width + 1, np.intp)  # 1-based row of each column; column 0 holds the row to place
    for row in range(1, count + 1):
        owner[0] = row
        column, least, came_from = 0, np.full(width + 1, np.inf), np.zeros(width + 1, np.intp)
        used = np.zeros(width + 1, bool)
        while owner[column]:
            used[column] = True
            here = owner[column]
            reduced = cost[here - 1] - row_price[here] - column_price[1:]
            better = ~used[1:] & (reduced < least[1:])
            least[1:][better] = reduced[better]
            came_from[1:][better] = column
            open_columns = np.where(used, np.inf, least)
            open_columns[0] = np.inf
            following = int(np.argmin(open_columns))
            step = open_columns[following]
            row_price[owner[used]] += step
            column_price[used] -= step
            least[~used] -= step
            column = following
        while column:
            owner[column] = owner[came_from[column]]
            column = int(came_from[column])
    return [(int(owner[j]) - 1, j - 1) for j in range(1, width + 1) if owner[j]]
