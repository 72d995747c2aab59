"""The comparison: the same fifty resources on five real hosts, asked by us and by the tools that people use today.

Called by ``__main__``. Every contender is a module of its own behind ``base.Contender``; ``contest`` asks them in
turns, ``rows`` makes the table with the targets, ``plot`` the picture. Peers are installed here and nowhere else: from
PyPI into environments below ``.cache/bench``, from Debian on the hosts.
"""

from tests.bench.peers.contest import HOSTS, ROUNDS, measure
from tests.bench.peers.plot import draw
from tests.bench.peers.rows import peer_rows

__all__ = ["HOSTS", "ROUNDS", "draw", "measure", "peer_rows"]
