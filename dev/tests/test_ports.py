"""Ports that are handed out are free and not handed out twice."""

import socket

from dev.ports import answers, free_port


def test_a_port_is_handed_out_once() -> None:
    ports = [free_port() for _ in range(50)]
    assert len(set(ports)) == 50


def test_the_preferred_port_is_given_when_it_is_free_and_only_then() -> None:
    wanted = free_port()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert free_port(taken.getsockname()[1]) != taken.getsockname()[1]
        assert answers("127.0.0.1", taken.getsockname()[1])
    assert free_port(wanted) != wanted
    assert not answers("127.0.0.1", wanted)
