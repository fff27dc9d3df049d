"""The guards of the tests themselves."""

from __future__ import annotations

import socket

import pytest


def test_a_connection_to_another_machine_is_refused() -> None:
    with socket.socket() as connection, pytest.raises(AssertionError, match="this machine only"):
        connection.connect(("192.0.2.1", 80))
