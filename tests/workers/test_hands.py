"""Who gets a hand, when some keep theirs for long."""

from workers.hands import SILENT_MOST, Hands


def test_one_receiver_never_has_them_all():
    hands = Hands(10, 2)
    hands.take("a")

    assert hands.for_the_well() == (9, {"a": 1})


def test_who_is_silent_gets_one_and_those_that_answer_come_first():
    hands = Hands(10, 4)
    hands.take("dead")
    hands.give_back("dead", was_silent=True)

    assert hands.for_the_well() == (10, {"dead": 0})
    assert hands.for_the_silent() == (5, {"dead": 1})


def test_the_silent_together_have_half():
    hands = Hands(4, 4)
    for name in "abc":
        hands.take(name)
        hands.give_back(name, was_silent=True)
    hands.take("a")
    hands.take("b")

    assert hands.for_the_silent() == (0, {"a": 0, "b": 0, "c": 1})
    assert hands.for_the_well()[0] == 2


def test_who_answers_is_silent_no_more():
    hands = Hands(4, 4)
    for was_silent in (True, False):
        hands.take("a")
        hands.give_back("a", was_silent=was_silent)

    assert hands.for_the_well() == (4, {})
    assert hands.busy == 0


def test_not_all_that_were_ever_silent_are_remembered():
    hands = Hands(4, 4)
    for number in range(SILENT_MOST + 5):
        hands.take(str(number))
        hands.give_back(str(number), was_silent=True)

    assert len(hands.for_the_silent()[1]) == SILENT_MOST
