"""The page on the architecture shows the rooms as they are."""

from scripts.structure import PAGE, picture, shown


def test_the_picture_is_drawn_from_todays_imports() -> None:
    assert shown(PAGE.read_text()) == picture(), "draw it anew: python -m scripts.structure"
