"""Making a tenant."""

import pytest

from models.errors import NameTaken
from models.project import AuthMode, create_project


def test_a_project_gets_a_key_and_a_secret_of_its_own(database):
    with database.transaction() as session:
        studio = create_project(session, "studio", AuthMode.KEY)
        archive = create_project(session, "archive", AuthMode.SIGNATURE)

    credentials = [studio.api_key, studio.api_secret, archive.api_key, archive.api_secret]
    assert len(set(credentials)) == 4
    assert all(len(text) == 32 and text.isalnum() and text.isascii() for text in credentials)
    assert archive.auth is AuthMode.SIGNATURE


def test_a_name_is_given_once_and_the_loser_keeps_its_transaction(database):
    with database.transaction() as session:
        create_project(session, "studio", AuthMode.KEY)

        with pytest.raises(NameTaken, match="'studio'"):
            create_project(session, "studio", AuthMode.KEY)
        later = create_project(session, "studio 2", AuthMode.KEY)

    assert later.id is not None


def test_a_project_does_not_show_its_secret(database):
    with database.transaction() as session:
        made = create_project(session, "studio", AuthMode.KEY)

    assert made.api_secret not in repr(made)
