"""Names that nobody guesses, in the order of time."""

import string
from collections import Counter

from models.names import TOKEN_LENGTH, new_token, new_tokens, new_uuids

ALPHABET = string.digits + string.ascii_letters


def test_a_token_is_thirty_letters_and_digits():
    token = new_token()

    assert len(token) == TOKEN_LENGTH == 30
    assert set(token) <= set(ALPHABET)


def test_no_two_tokens_are_the_same():
    assert len(set(new_tokens(10_000))) == 10_000


def test_nothing_is_made_of_nothing():
    assert (new_tokens(0), new_uuids(0)) == ([], [])


def test_a_later_token_sorts_behind_an_earlier(eventually):
    first = new_token()

    eventually(lambda: new_token()[:8] > first[:8])

    assert new_token() > first


def test_each_letter_of_the_unguessable_part_is_as_likely_as_any_other():
    counts = Counter("".join(token[8:] for token in new_tokens(20_000)))

    assert set(counts) == set(ALPHABET)
    # 7 100 of each are expected, give or take 84: ten times that is no accident.
    assert max(counts.values()) - min(counts.values()) < 840


def test_each_uuid_is_greater_than_the_one_before_and_made_now():
    uuids = new_uuids(10_000)

    assert uuids == sorted(set(uuids))
    assert {(one.version, one.variant) for one in uuids} == {(7, "specified in RFC 4122")}


def test_chance_is_in_every_uuid():
    assert len({one.int & (1 << 62) - 1 for one in new_uuids(10_000)}) == 10_000
