import gc
import threading
import time

import pytest

from ganctl.data.memory import ahead


def readers():
    return [thread for thread in threading.enumerate() if thread.name.startswith("prefetch")]


def gone(timeout=2.0):
    """Whether the reading threads end within the time."""
    end = time.monotonic() + timeout
    while readers() and time.monotonic() < end:
        time.sleep(0.01)
    return not readers()


def test_reading_ahead_is_map():
    assert list(ahead(lambda x: x * x, iter(range(5)))) == [0, 1, 4, 9, 16]
    assert gone()


def test_it_is_never_more_than_two_ahead():
    asked = []
    stream = ahead(asked.append, iter(range(10)))
    next(stream)
    time.sleep(0.05)
    assert asked == [0, 1, 2]
    stream.close()


@pytest.mark.parametrize("end", ["close", "forget"])
def test_the_thread_ends_with_the_generator(end):
    stream = ahead(abs, iter(range(10**9)))
    next(stream)
    assert len(readers()) == 1
    if end == "close":
        stream.close()
    del stream
    gc.collect()
    assert gone()


def test_an_exception_in_the_thread_arrives():
    stream = ahead(lambda x: 1 // x, iter([1, 0]))
    assert next(stream) == 1
    with pytest.raises(ZeroDivisionError):
        next(stream)
    assert gone()
