from dsad_core.engines.sessions import Sessions


def test_two_sizes_that_alternate_open_nothing_again():
    opened, closed = [], []
    sessions = Sessions(lambda size: opened.append(size) or size, closed.append)
    for _ in range(5):
        assert sessions.get((512, 640)) == (512, 640)
        assert sessions.get((480, 640)) == (480, 640)
    assert opened == [(512, 640), (480, 640)] and closed == []
    sessions.get((512, 640))
    sessions.get((64, 64))
    assert closed == [(480, 640)], "the one that was not used for longest"
    sessions.close()
    assert len(sessions) == 0 and sorted(closed) == [(64, 64), (480, 640), (512, 640)]


def test_a_size_that_cannot_be_opened_leaves_the_others():
    closed = []

    def open_session(size):
        if size == (1, 1):
            raise ValueError
        return size

    sessions = Sessions(open_session, closed.append)
    sessions.get((2, 2))
    try:
        sessions.get((1, 1))
    except ValueError:
        pass
    assert len(sessions) == 1 and not closed
