import pytest


@pytest.fixture(scope="session")
def kedge():
    import kedge

    return kedge
