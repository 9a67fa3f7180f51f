"""Workers of a `SlurmCluster` that are asked for at the same time go into one submission."""

from __future__ import annotations

import asyncio
import os
from typing import Any

from shoal._base.within import within
from shoal.comm.secret import cluster_secret
from shoal.core import Status
from shoal.deploy.interface import ProcessInterface
from shoal.deploy.slurm import queue
from shoal.deploy.slurm.script import Pool, job_script

__all__ = ["SlurmWorker", "Submitter"]

_PATIENCE = 90.0  # seconds; more than the command itself may take


class Submitter:
    """Gathers what the same turn of the loop asks for: one ``sbatch``, or one ``scancel``.

    Parameters
    ----------
    job_name : str
        Name of all jobs of the cluster.
    pool : Pool
        What each worker's job has.
    log_directory : str
        Where jobs write.
    one_job : bool
        Whether workers that are asked for together are one job of several nodes.
    """

    def __init__(self, job_name: str, pool: Pool, log_directory: str, one_job: bool) -> None:
        self.job_name = job_name
        self.pool = pool
        self.log_directory = log_directory
        self.one_job = one_job
        self._coming: list[SlurmWorker] = []
        self._submission: asyncio.Task[None] | None = None
        self._members: dict[str, set[SlurmWorker]] = {}  # of a job of several nodes

    async def submit(self, worker: SlurmWorker) -> None:
        """Submit the job of a worker, with those of all others that come with it."""
        self._coming.append(worker)
        if self._submission is None:
            self._submission = asyncio.create_task(self._submit_all())
        await within(asyncio.shield(self._submission), _PATIENCE)

    async def _submit_all(self) -> None:
        await asyncio.sleep(0)  # until all that are to start have said so
        workers, self._coming, self._submission = self._coming, [], None
        scheduler = str(workers[0].scheduler)
        text = job_script(
            self.job_name,
            self.pool,
            [str(worker.name) for worker in workers],
            scheduler,
            log_directory=self.log_directory,
            one_job=self.one_job,
        )
        os.makedirs(self.log_directory, exist_ok=True)
        job = await queue.submit(text, {"SHOAL_SECRET": cluster_secret().reveal()})
        for index, worker in enumerate(workers):
            worker.job = job if self.one_job else f"{job}_{index}"
        if self.one_job:
            self._members[job] = set(workers)

    def ended(self, worker: SlurmWorker) -> str | None:
        """Return the job to cancel when a worker is no longer wanted; None: others are in it."""
        assert worker.job is not None
        if not self.one_job:
            return worker.job
        members = self._members.get(worker.job, set())
        members.discard(worker)
        return None if members else worker.job


class SlurmWorker(ProcessInterface):
    """A worker, or the workers of one node, that a job of Slurm runs.

    Parameters
    ----------
    scheduler, name
        As for `ProcessInterface`.
    submitter : Submitter
        What submits the jobs of its pool.
    """

    def __init__(self, scheduler: str, name: Any = None, *, submitter: Submitter) -> None:
        super().__init__(scheduler, name)
        self.submitter = submitter
        self.job: str | None = None
        self.close_restart = False  # whether the cluster is to make another when it ended

    async def start(self) -> None:
        """Submit its job. Whether it runs is for the queue to say."""
        await self.submitter.submit(self)
        await super().start()

    async def close(self) -> None:
        """Take its job out of the queue."""
        if self.status == Status.running and self.job is not None:
            self.status = Status.closing
            job = self.submitter.ended(self)
            if job is not None:
                await queue.cancel([job])
        await super().close()

    def job_is_gone(self, restart: bool) -> None:
        """Its job ended by itself: it failed, its time was over, or somebody cancelled it."""
        if self.status == Status.running:
            self.submitter.ended(self)
            self.close_restart = restart
            self.status = Status.closed
            self._ended()
