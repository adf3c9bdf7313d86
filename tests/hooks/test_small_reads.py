"""Small objects go the fast way wherever that can be."""

import pytest

from tests.backup_sets import open_store


@pytest.mark.parametrize("name", ["AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"])
def test_a_ca_of_our_own_matters_to_https_alone(monkeypatch, name):
    monkeypatch.setenv(name, "/etc/ssl/ours.pem")
    for endpoint, fast in (("http://127.0.0.1:9", True), ("https://127.0.0.1:9", False)):
        with open_store(endpoint, "key", "secret") as store:
            assert store._small._speaks_obstore is fast
