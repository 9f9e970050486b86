import pytest


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    """Each test has a cache of its own, so that none reads what another left."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("GANCTL_CACHE", str(folder))
    return folder
