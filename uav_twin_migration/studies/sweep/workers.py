"""Who does a sweep's runs: processes of this machine, or a Ray cluster. Each has one function: tasks in, outcomes out.

A worker that dies takes no other run with it. Here, the runs that were under way are done again, each in a process of
its own, so that the one that kills its process is known, and fails by its name; on a cluster, Ray does a run anew
elsewhere.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from uav_twin_migration.errors import UavTwinError, missing_library
from uav_twin_migration.studies.sweep.points import Task
from uav_twin_migration.studies.sweep.run import Outcome, run

KILLED = -9
ATTEMPTS = 3  # of a run whose Ray worker or node died
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")  # of a run: one, as others run beside it

Done = Iterator[tuple[Task, Outcome]]


def cores() -> int:
    """CPUs that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def locally(tasks: Sequence[Task], jobs: int) -> Done:
    """Outcomes as they come, of `jobs` processes."""
    suspects: list[Task] = []
    with one_thread_each(), pool(jobs) as processes:
        waiting = iter(tasks)
        running: dict[Future[Outcome], Task] = {}
        broken = False
        while True:
            while not broken and len(running) < jobs and (task := next(waiting, None)) is not None:
                try:
                    running[processes.submit(run, task)] = task
                except BrokenProcessPool:
                    suspects.append(task)
                    broken = True
            if not running:
                break
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                task = running.pop(future)
                try:
                    yield task, future.result()
                except BrokenProcessPool:
                    suspects.append(task)
                    broken = True
    for task in suspects:
        yield task, _alone(task)
    left = list(waiting)
    if left:
        yield from locally(left, jobs)


def _alone(task: Task) -> Outcome:
    """In a process that does nothing else."""
    with one_thread_each(), pool(1) as processes:
        try:
            return processes.submit(run, task).result()
        except BrokenProcessPool:
            return Outcome(KILLED, {}, "its process was killed, or crashed; perhaps for want of memory", 0.0, "here")


def pool(jobs: int) -> ProcessPoolExecutor:
    """Processes that start afresh."""
    return ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn"))


@contextmanager
def one_thread_each() -> Iterator[None]:
    """For processes that start meanwhile."""
    before = {name: os.environ.get(name) for name in THREADS}
    os.environ.update(dict.fromkeys(THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def on_ray(tasks: Sequence[Task], address: str) -> Done:
    """Outcomes as they come, of a Ray cluster; every node has this package. address: HOST:PORT, auto, or ray://...

    Raises:
        UavTwinError: Ray is not installed, or there is no cluster.
    """
    try:
        ray: Any = import_module("ray")
    except ModuleNotFoundError:
        raise missing_library("--ray needs", "ray>=2.10") from None
    try:
        ray.init(address=address, log_to_driver=False, logging_level="ERROR")
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise UavTwinError(f"no Ray cluster at {address}: {str(error).splitlines()[0]}") from None
    try:
        variables = {"env_vars": dict.fromkeys(THREADS, "1")}
        remote = ray.remote(run).options(num_cpus=1, max_retries=ATTEMPTS - 1, runtime_env=variables)
        running = {remote.remote(task): task for task in tasks}
        while running:
            (done,), _ = ray.wait(list(running), num_returns=1)
            task = running.pop(done)
            try:
                yield task, ray.get(done)
            except ray.exceptions.RayError as error:
                yield task, Outcome(KILLED, {}, f"{type(error).__name__}: {str(error).splitlines()[0]}", 0.0, address)
    finally:
        ray.shutdown()
