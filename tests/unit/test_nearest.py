from __future__ import annotations

import pytest

from ipamd.models.nearest import LONGEST_WORD, nearest, unknown

POOL = (
    "name",
    "space",
    "subnet",
    "ranges",
    "exclusions",
    "gateway",
    "block_size",
    "auto_assign",
    "selectors",
)
CONFIGURATION = ("type", "endpoint", "pools", "routes", "dns", "tokenFile", "caFile", "stateDir", "timeout")


@pytest.mark.parametrize(
    ("word", "known", "meant"),
    [
        ("exclude", POOL, "exclusions"),
        ("block-size", POOL, "block_size"),
        ("blockSize", POOL, "block_size"),
        ("block_length", POOL, "block_size"),
        ("Subnet", POOL, "subnet"),
        ("subent", POOL, "subnet"),
        ("range", POOL, "ranges"),
        ("autoAssign", POOL, "auto_assign"),
        ("pool", CONFIGURATION, "pools"),
        ("token_file", CONFIGURATION, "tokenFile"),
        ("ca", CONFIGURATION, None),
        ("endpoints", CONFIGURATION, "endpoint"),
        ("cidr", POOL, None),
        ("", POOL, None),
        ("\0\x1b[31m", POOL, None),
        ("name", (), None),
        ("n" * (LONGEST_WORD + 1), ("n" * LONGEST_WORD,), None),
    ],
)
def test_the_nearest_known_word_is_the_one_that_was_meant(
    word: str, known: tuple[str, ...], meant: str | None
) -> None:
    assert nearest(word, known) == meant


def test_of_two_words_as_near_the_first_is_offered() -> None:
    assert nearest("pool", ("pools", "poola")) == "pools"


@pytest.mark.parametrize(
    ("word", "known", "sentence"),
    [
        ("exclude", POOL, "unknown field `exclude`; did you mean `exclusions`?"),
        ("cidr", ("subnet", "name"), "unknown field `cidr`; known: subnet, name"),
        ("cidr", (), "unknown field `cidr`"),
        ("cidr", [f"key{number}" for number in range(100)], "unknown field `cidr`"),
        ("x" * 1_000_000, ("name",), f"unknown field `{'x' * LONGEST_WORD}...`; known: name"),
    ],
)
def test_the_sentence_says_what_is_known(word: str, known: list[str], sentence: str) -> None:
    assert unknown("field", word, known) == sentence
