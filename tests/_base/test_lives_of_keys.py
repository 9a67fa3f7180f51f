"""Names under which lives of keys go on when the key means another."""

from __future__ import annotations

from shoal._base.keys import decode_key, encode_key, set_aside_key, without_life


def test_names_of_lives_that_made_way_are_keys_of_their_own() -> None:
    for key in ("x", ("x", 0), "(", 5):
        wire = encode_key(key)
        name = set_aside_key(wire, 17)
        assert encode_key(decode_key(name)) == name != wire
        assert without_life(name) == without_life(wire) == wire
        assert set_aside_key(name, 18) == set_aside_key(wire, 18)
