"""Schedulers, workers and clients on hosts of their own, and what networks do to them.

The hosts are network namespaces (`host_network`). What takes long is run by `make deploy-tests`.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers import wait_until
from host_network import Host, Network, Program, faketime_library, why_not

pytestmark = [
    pytest.mark.process,
    pytest.mark.timeout(180),
    pytest.mark.skipif(bool(why_not()), reason=why_not() or "hosts can be made"),
]
walls = pytest.mark.skipif(bool(why_not("nft")), reason=why_not("nft") or "walls can be made")
wires = pytest.mark.skipif(bool(why_not("tc")), reason=why_not("tc") or "wires can be thin")
long = pytest.mark.skipif(
    not os.environ.get("DEPLOY_TESTS") and "--engines" not in sys.argv,
    reason="long: run by make deploy-tests",
)

CLIENT = str(Path(__file__).with_name("hosts_client.py"))


class Cluster:
    """A scheduler, workers and a client, each on a host of its own."""

    def __init__(self, network: Network, folder: Path) -> None:
        self.network = network
        self.log = folder / "ran"
        self.scheduler_host = network.host("boss")
        self.client_host = network.host("desk")
        self.workers: list[Host] = []
        host = self.scheduler_host.address
        self.address = f"tcp://[{host}]:8786" if ":" in host else f"tcp://{host}:8786"

    def start(self, workers: int = 2, *options: str) -> None:
        """Start the scheduler and workers."""
        self.scheduler = self.scheduler_host.scheduler()
        self.workers = [self.network.host(f"hand{i}") for i in range(workers)]
        self.running = [
            host.worker(self.address, "--name", host.name, *options) for host in self.workers
        ]

    def client(self, program: str, host: Host | None = None) -> Program:
        """Start a client, on the desk by default."""
        place = host or self.client_host
        return place.python(CLIENT, self.address, program, str(self.log))

    def runs(self) -> Counter[int]:
        """How often each task was begun."""
        lines = self.log.read_text().splitlines()
        return Counter(int(line.split()[0]) for line in lines)


def network(folder: Path, **options: object) -> Network:
    """Return a network whose processes share a secret, and no home."""
    return Network(
        **options,
        SHOAL_SECRET=os.urandom(16).hex(),
        HOME=str(folder),
        XDG_CONFIG_HOME=str(folder),
        # What is not acknowledged for so long is dead; longer than the cuts that are to be borne.
        DASK_DISTRIBUTED__COMM__TIMEOUTS__TCP="30s",
    )


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    with network(tmp_path) as made:
        yield Cluster(made, tmp_path)


def right(program: Program, timeout: float = 60) -> None:
    """The client's result is right."""
    assert program.result(timeout).splitlines()[-1] == "True", program.output


def each_once(cluster: Cluster) -> None:
    """No task was begun twice."""
    again = {key: count for key, count in cluster.runs().items() if count > 1}
    assert not again, f"begun again: {again}"


# -- hosts as they are ---------------------------------------------------------------


def test_hosts_whose_names_mean_nothing_work_together(cluster: Cluster) -> None:
    """No name resolves, and no host has a way out: addresses are those of the network's devices."""
    cluster.start()
    assert f"Scheduler at: {cluster.address}" in cluster.scheduler.output.replace(" " * 9, " ")
    right(cluster.client("large"))


@long
def test_a_contact_address_that_does_not_resolve_is_said(cluster: Cluster) -> None:
    cluster.start(1)
    other = cluster.network.host("lost")
    program = other.python(
        *("-m", "shoal", "worker", cluster.address, "--no-dashboard", "--no-nanny"),
        *("--contact-address", "tcp://nowhere.invalid:4000"),
    )
    program.wait_for("nowhere.invalid")


@long
def test_several_workers_listen_everywhere_and_are_reached_where_they_say(
    cluster: Cluster,
) -> None:
    cluster.start(0)
    host = cluster.network.host("many")
    names = ("--nworkers", "2", "--listen-address", "tcp://0.0.0.0:9000")
    host.worker(cluster.address, *names, "--contact-address", f"tcp://{host.address}:9000")
    cluster.scheduler.wait_for(f"Register worker tcp://{host.address}:9000")
    cluster.scheduler.wait_for(f"Register worker tcp://{host.address}:9001")
    other = cluster.network.host("more")
    other.worker(cluster.address, "--host", "0.0.0.0", "--contact-address", other.address)
    cluster.scheduler.wait_for(f"Register worker tcp://{other.address}:")
    right(cluster.client("large"))


@long
def test_ipv6_only(tmp_path: Path) -> None:
    with network(tmp_path, version=6) as made:
        cluster = Cluster(made, tmp_path)
        cluster.start()
        assert cluster.address in cluster.scheduler.output
        right(cluster.client("large"))


@long
@pytest.mark.skipif(faketime_library() is None, reason="libfaketime is not installed")
def test_clocks_an_hour_apart(cluster: Cluster) -> None:
    def clock(hours: int) -> dict[str, str]:
        return {
            "LD_PRELOAD": str(faketime_library()),
            "FAKETIME": f"{hours:+d}h",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    cluster.scheduler_host.environment = clock(0)
    cluster.client_host.environment = clock(-1)
    cluster.start(1)
    late = cluster.network.host("late")
    late.environment = clock(1)
    late.worker(cluster.address, "--name", "late")
    found = eval(cluster.client("hosts").result().splitlines()[-1])
    assert [name for name, _ in found] == ["hand0", "late"]
    assert 3000 < found[1][1] - found[0][1] < 4000
    right(cluster.client("many"))
    each_once(cluster)


# -- wires ---------------------------------------------------------------------------


@long
@wires
def test_a_thin_wire(cluster: Cluster) -> None:
    cluster.start()
    for host in cluster.workers:
        host.thin("4mbit")
    right(cluster.client("many"), 120)
    each_once(cluster)


@long
def test_packets_of_different_sizes(cluster: Cluster) -> None:
    cluster.start()
    cluster.workers[0].mtu(1280)
    cluster.client_host.mtu(576)
    right(cluster.client("large"))


# -- cuts ----------------------------------------------------------------------------


@long
@walls
@pytest.mark.parametrize("seconds", [pytest.param(5, id="5s"), pytest.param(20, id="20s")])
@pytest.mark.parametrize(
    "incoming, outgoing",
    [
        pytest.param(True, True, id="both"),
        pytest.param(True, False, id="in"),
        pytest.param(False, True, id="out"),
    ],
)
def test_a_worker_is_cut_off_for_a_while(
    cluster: Cluster, seconds: int, incoming: bool, outgoing: bool
) -> None:
    cluster.start()
    program = cluster.client("many")
    program.wait_for("begun")
    cut = cluster.workers[0]
    cut.block_for(seconds, incoming=incoming, outgoing=outgoing)
    right(program)
    each_once(cluster)


@long
@walls
@pytest.mark.parametrize("seconds", [5, 20])
def test_a_client_is_cut_off_for_a_while(cluster: Cluster, seconds: int) -> None:
    cluster.start()
    program = cluster.client("many")
    program.wait_for("begun")
    cluster.client_host.block_for(seconds)
    right(program)
    each_once(cluster)


@pytest.fixture
def impatient(cluster: Cluster) -> Cluster:
    """A cluster that takes silence for death early."""
    cluster.network.environment |= {
        "DASK_DISTRIBUTED__COMM__TIMEOUTS__TCP": "6s",
        "DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "6s",
        "DASK_SHOAL__RECOVERY__RECONNECT": "5s",
    }
    return cluster


@long
@walls
@pytest.mark.parametrize(
    "incoming, outgoing",
    [
        pytest.param(True, True, id="both"),
        pytest.param(True, False, id="in"),
        pytest.param(False, True, id="out"),
    ],
)
def test_a_worker_is_cut_off_for_good(impatient: Cluster, incoming: bool, outgoing: bool) -> None:
    """What it had is computed again, elsewhere; it ends by itself, and says why."""
    impatient.start()
    program = impatient.client("many")
    program.wait_for("begun")
    impatient.workers[0].cut(incoming=incoming, outgoing=outgoing)
    right(program, 90)
    there = {line.split()[0] for line in impatient.log.read_text().splitlines()}
    assert len(there) == 60
    impatient.running[0].wait_for("no scheduler at", 60)
    impatient.scheduler.wait_for("Remove worker", 60)


@long
@walls
def test_a_client_is_cut_off_for_good(impatient: Cluster) -> None:
    impatient.start()
    program = impatient.client("many")
    program.wait_for("begun")
    impatient.client_host.cut()
    program.wait_for("could not be made again", 90)
    wait_until(lambda: not program.running, 60)
    impatient.client_host.mend()
    # The cluster goes on for others.
    right(impatient.client("many"))


# -- walls ---------------------------------------------------------------------------


@walls
def test_workers_that_cannot_reach_each_other_pass_values_by_the_scheduler(
    cluster: Cluster,
) -> None:
    """What goes from one to the other is swallowed, in one direction."""
    cluster.start()
    one, other = cluster.workers
    one.cut(other, incoming=False)
    right(cluster.client("many"))
    each_once(cluster)
    said = [program.output.count("through the scheduler") for program in cluster.running]
    assert max(said) == 1, [program.output for program in cluster.running]


@long
@walls
def test_one_open_port(cluster: Cluster) -> None:
    """Nothing but the scheduler's port can be reached, by anybody."""
    cluster.start()
    cluster.scheduler_host.firewall(8786)
    for host in (*cluster.workers, cluster.client_host):
        host.firewall()
    program = cluster.client("large")
    right(program)
    assert program.output.count("through the scheduler") == 1
    right(cluster.client("many"))
    counts = Counter(cluster.runs())
    assert all(count == 1 for key, count in counts.items() if key != 7)


@long
@walls
def test_address_translation_before_clients_and_workers(cluster: Cluster) -> None:
    cluster.start()
    away = cluster.network.behind_nat("home")
    right(cluster.client("large", away))
    away.worker(cluster.address, "--name", "away")
    right(cluster.client("large"))
    right(cluster.client("many", away))
