import pytest

from tdev_operators.core.database.alone import alone
from tdev_operators.core.errors import BusyError, InputError


def test_a_second_run_of_the_job_is_refused_until_the_first_ends(source):
    with alone(source, "care"):
        sentence = r"Another care is at work in the database test_\w+; wait until it ends\."
        with pytest.raises(BusyError, match=sentence), alone(source, "care"):
            raise AssertionError
        with alone(source, "retention"):
            pass
    with alone(source, "care"):
        pass


def test_a_standby_is_refused(cluster, source):
    class Standby:
        name = source.name

        def session(self, **keywords):
            return self

        def __enter__(self):
            return self

        def __exit__(self, *_):
            return None

        def rows(self, *_):
            return [{"in_recovery": True, "claimed": False}]

    with pytest.raises(InputError, match="is a standby"), alone(Standby(), "care"):
        raise AssertionError
