"""The catalogue's version: asked for once a second at most, by one thread, and never missed."""

import threading
from concurrent.futures import ThreadPoolExecutor

from edge_workers.catalogue_version import CatalogueVersion
from edge_workers.errors import DatabaseUnavailable


def test_it_is_asked_for_once_a_second() -> None:
    now, told = [0.0], iter((5, 6))
    versions = CatalogueVersion(lambda: next(told), clock=lambda: now[0])
    assert [versions.current(), versions.current()] == [5, 5]
    now[0] = 0.9
    assert versions.current() == 5
    now[0] = 1.0
    assert versions.current() == 6


def test_it_stays_as_it_was_while_the_database_is_away() -> None:
    now, answers = [0.0], [5, None, 6]
    asked = []

    def ask() -> int:
        asked.append(1)
        answer = answers[len(asked) - 1]
        if answer is None:
            raise DatabaseUnavailable
        return answer

    versions = CatalogueVersion(ask, clock=lambda: now[0])
    assert versions.current() == 5
    now[0] = 1.0
    # asked in vain, and not again within the second
    assert [versions.current(), versions.current(), len(asked)] == [5, 5, 2]
    now[0] = 2.0
    assert versions.current() == 6


def test_it_is_unknown_until_it_was_told() -> None:
    def ask() -> int:
        raise DatabaseUnavailable

    assert CatalogueVersion(ask).current() is None


def test_nobody_waits_for_who_is_asking() -> None:
    now, has_begun, may_end = [0.0], threading.Event(), threading.Event()
    answers = iter((5, 6))

    def ask() -> int:
        answer = next(answers)
        if answer == 6:
            has_begun.set()
            may_end.wait(5)
        return answer

    versions = CatalogueVersion(ask, clock=lambda: now[0])
    versions.current()
    now[0] = 1.0
    with ThreadPoolExecutor(1) as threads:
        asking = threads.submit(versions.current)
        has_begun.wait(5)
        assert versions.current() == 5
        may_end.set()
        assert asking.result(5) == 6
    assert versions.current() == 6
