import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dsad_core.components import find_components


@given(st.integers(0, 2**32 - 1), st.floats(0.01, 0.6))
def test_pixels_are_grouped_by_component(seed, density):
    mask = np.random.default_rng(seed).random((23, 31)) < density
    components = find_components(mask)
    painted = np.zeros(mask.shape, bool)
    for index, start in enumerate(components.starts):
        pixels = slice(start, start + components.areas[index])
        rows, columns = components.rows[pixels], components.columns[pixels]
        painted[rows, columns] = True
        assert (components.owners[pixels] == index).all()
        assert components.boxes[index, :2].tolist() == [columns.min(), rows.min()]
        np.testing.assert_allclose(components.centroids[index], [columns.mean(), rows.mean()])
    np.testing.assert_array_equal(painted, mask)


def test_a_selection_is_what_its_own_mask_would_give():
    mask = np.zeros((12, 14), np.uint8)
    mask[1, 1] = mask[3:5, 6:9] = mask[9, 2:6] = mask[11, 13] = 255
    components = find_components(mask)
    chosen = components.select(components.areas > 1)
    mask[1, 1] = mask[11, 13] = 0
    alone = find_components(mask)
    for name in ("centroids", "areas", "boxes", "columns", "rows", "starts"):
        np.testing.assert_array_equal(getattr(chosen, name), getattr(alone, name))
