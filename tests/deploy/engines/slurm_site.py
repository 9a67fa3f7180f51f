"""A real Slurm on this machine: munged, slurmctld and slurmd of several virtual nodes.

    PYTHONPATH=tests python tests/deploy/engines/slurm_site.py [FOLDER]

sets it up in a folder of its own, prints what to put into the environment of a shell, and takes
all of it down again at Ctrl-C. As root only; Debian's packages are slurm-wlm and munge.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import psutil
from helpers import wait_until

__all__ = ["PACKAGES", "SlurmSite", "why_not"]

PACKAGES = ("slurm-wlm", "munge")
_PROGRAMS = ("munged", "mungekey", "slurmctld", "slurmd", "sbatch", "squeue", "scontrol")
_UP = 30.0
_DOWN = 10.0

# Several slurmd on one host: told apart by name and port. What a node claims to have need not be
# true (config_overrides), so that four nodes of four processors fit on any machine.
_CONFIGURATION = """\
ClusterName=virtual
SlurmctldHost={host}
SlurmctldPort={controller}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CryptoType=crypto/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=1,sched_interval=2,batch_sched_delay=0,sched_min_interval=0
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SlurmdParameters=config_overrides
GresTypes=gpu
ReturnToService=2
SlurmdTimeout=10
KillWait=5
MinJobAge=60
InactiveLimit=0
JobRequeue=1
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
MaxArraySize=1001
DefMemPerCPU=500
{nodes}
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP PriorityTier=1 GraceTime=15
PartitionName=urgent Nodes=ALL MaxTime=INFINITE State=UP PriorityTier=10
"""


def why_not() -> str:
    """Return why there can be no Slurm here, in words for a skipped test; empty where it can."""
    if os.name != "posix" or os.geteuid() != 0:
        return "slurmd starts jobs as their users and so runs as root; this is not root"
    missing = [each for each in _PROGRAMS if shutil.which(each, path=_path()) is None]
    if missing:
        return f"not installed: {', '.join(missing)}; apt-get install {' '.join(PACKAGES)}"
    return ""


def _path() -> str:
    return os.environ.get("PATH", "") + ":/usr/sbin:/sbin"


class SlurmSite:
    """A Slurm of its own, from `start` to `stop`.

    Parameters
    ----------
    folder : Path
        Where its files are; made where there is none. A short path, as it holds Unix sockets.
    nodes, cpus : int
        How many virtual nodes there are, and the processors that each claims to have. The last
        node also has two graphics cards, which are files.
    """

    def __init__(self, folder: Path, nodes: int = 4, cpus: int = 4) -> None:
        self.folder = folder
        self.cpus = cpus
        self.nodes = [f"node{i + 1}" for i in range(nodes)]
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs that is to use this Slurm."""
        return {"SLURM_CONF": str(self.folder / "slurm.conf"), "PATH": _path()}

    def start(self) -> None:
        """Start it and wait until all nodes are idle."""
        self._configure()
        try:
            self._start_munge()
            self._run("slurmctld", "slurmctld", "-D", "-c")
            for node in self.nodes:
                self.start_node(node)
            self._wait(self._all_idle, "the nodes are idle")
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End it with all jobs that run; the folder stays, with its logs."""
        if "slurmctld" in self._processes:
            self.command("scancel", "--user=root", "--signal=KILL", check=False)
            self.command("scancel", "--user=root", check=False)
            self.settles([])
        for name in [*self.nodes, "slurmctld", "munged"]:
            self._end(name)

    def start_node(self, node: str) -> None:
        """Start the slurmd of a node."""
        self._run(node, "slurmd", "-D", "-N", node)

    def lose_node(self, node: str) -> None:
        """End a node as when its machine loses power: its slurmd, and what runs there."""
        pid = self._processes[node].pid
        for process in psutil.process_iter():
            # The processes of a job are in sessions of their own, below its slurmstepd.
            with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                if process.environ().get("SLURMD_NODENAME") == node:
                    process.kill()
        for child in psutil.Process(pid).children(recursive=True):
            child.kill()
        self._end(node)

    def command(self, *words: str, check: bool = True) -> str:
        """Run a command of Slurm and return what it wrote."""
        done = subprocess.run(
            words,
            env={**os.environ, **self.environment},
            capture_output=True,
            text=True,
            timeout=_UP,
        )
        if check and done.returncode:
            raise RuntimeError(f"{' '.join(words)}: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout

    def jobs(self) -> list[dict[str, str]]:
        """Return the jobs that Slurm knows: ``id``, ``name``, ``state``, ``nodes``."""
        text = self.command("squeue", "-h", "-r", "-o", "%i|%j|%T|%N")
        names = ("id", "name", "state", "nodes")
        return [dict(zip(names, line.split("|"))) for line in text.splitlines()]

    def settles(self, states: list[str]) -> bool:
        """Whether, before long, there are jobs in just these states."""
        wanted = sorted(states)
        return self._quietly_wait(lambda: sorted(job["state"] for job in self.jobs()) == wanted)

    def _configure(self) -> None:
        for name in ("state", *(f"spool-{node}" for node in self.nodes)):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o755)  # munged refuses a socket in a folder that others can write to
        host = socket.gethostname()
        ports = _free_ports(1 + len(self.nodes))
        gpus = [str(self.folder / f"gpu{i}") for i in range(2)]
        for gpu in gpus:
            Path(gpu).touch()
        lines = [
            f"NodeName={node} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} "
            f"CPUs={self.cpus} RealMemory=4000 State=UNKNOWN"
            + (" Gres=gpu:2" if node == self.nodes[-1] else "")
            for node, port in zip(self.nodes, ports[1:])
        ]
        (self.folder / "slurm.conf").write_text(
            _CONFIGURATION.format(
                host=f"{host}(127.0.0.1)",
                controller=ports[0],
                folder=self.folder,
                nodes="\n".join(lines),
            )
        )
        (self.folder / "gres.conf").write_text(
            "".join(f"NodeName={self.nodes[-1]} Name=gpu File={gpu}\n" for gpu in gpus)
        )
        # Loaded in any case, and asked for nothing.
        unified = Path("/sys/fs/cgroup/cgroup.controllers").exists()
        plugin = "cgroup/v2\nIgnoreSystemd=yes" if unified else "cgroup/v1\nCgroupAutomount=no"
        (self.folder / "cgroup.conf").write_text(f"CgroupPlugin={plugin}\n")

    def _start_munge(self) -> None:
        key = self.folder / "munge.key"
        if not key.exists():
            subprocess.run(["mungekey", f"--keyfile={key}"], check=True, env={"PATH": _path()})
        sock = self.folder / "munge.socket"
        self._run(
            "munged",
            "munged",
            "--foreground",
            "--force",
            f"--key-file={key}",
            f"--socket={sock}",
            f"--pid-file={self.folder}/munged.pid",
            f"--log-file={self.folder}/munged.log",
            f"--seed-file={self.folder}/munged.seed",
        )
        self._wait(sock.exists, "munged listens")

    def _run(self, name: str, *words: str) -> None:
        with open(self.folder / f"{name}.out", "ab") as log:
            self._processes[name] = subprocess.Popen(
                words,
                env={**os.environ, **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _end(self, name: str) -> None:
        process = self._processes.pop(name, None)
        if process is None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_DOWN)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(_DOWN)

    def _all_idle(self) -> bool:
        states = self.command("sinfo", "-h", "-N", "-o", "%N %t", "-p", "main", check=False)
        return [line.split()[-1] for line in states.splitlines()] == ["idle"] * len(self.nodes)

    def _wait(self, condition: Callable[[], object], what: str) -> None:
        if not self._quietly_wait(condition):
            raise RuntimeError(f"not within {_UP:.0f} s: {what}; see the logs in {self.folder}")

    def _quietly_wait(self, condition: Callable[[], object]) -> bool:

        def look() -> bool:
            for name, process in self._processes.items():
                if process.poll() is not None:
                    said = (self.folder / f"{name}.out").read_text()[-2000:]
                    raise RuntimeError(f"{name} ended with {process.returncode}: {said}")
            return bool(condition())

        try:
            return bool(wait_until(look, _UP))
        except AssertionError:
            return False


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def main() -> None:
    """Set it up, say so, wait for Ctrl-C, take it down."""
    reason = why_not()
    if reason:
        sys.exit(reason)
    made = None if len(sys.argv) > 1 else tempfile.mkdtemp(prefix="slurm-")
    site = SlurmSite(Path(made or sys.argv[1]))
    try:
        site.start()
        print(f"export SLURM_CONF={site.environment['SLURM_CONF']}", flush=True)
        print(site.command("sinfo", "-N"), flush=True)
        signal.pause()
    except KeyboardInterrupt:
        pass
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)  # a second one would leave daemons behind
        site.stop()
        if made:
            shutil.rmtree(made, ignore_errors=True)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    main()
