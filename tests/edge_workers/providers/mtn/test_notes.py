"""Texts that MTN takes: letters, digits, spaces, 160 of them."""

from __future__ import annotations

import pytest

from edge_workers.providers.mtn.notes import note


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("Order MG-1001", "Order MG 1001"),
        ("Commande d'été à Ngaoundéré", "Commande d ete a Ngaoundere"),
        ("Cœur, Æther, Straße, Łódź, Øre", "Coeur AEther Strasse Lodz Ore"),
        ("  a \r\n\t b\u2028c  ", "a b c"),
        ("№ 5 — ½ prix", "No 5 1 2 prix"),
        ("ﬁn du mois", "fin du mois"),
        ("<b>'; drop table", "b drop table"),
        ("٥٦ 订单", ""),
        ("", ""),
        ("x" * 161, "x" * 160),
        ("x" * 159 + " yz", "x" * 159),
        ("x" * 160 + "!", "x" * 160),
        ("é" * 400, "e" * 160),
    ],
)
def test_a_note_is_plain_and_short(text: str, plain: str) -> None:
    assert note(text) == plain
