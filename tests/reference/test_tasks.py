"""Examples of `futures-api.txt`: Submit Tasks from Tasks, and the functions of tasks."""

from __future__ import annotations

import dask
import dask.dataframe as dd
from helpers import wait_until

from shoal import Client, Queue, fire_and_forget, get_client, get_worker, rejoin, secede


def inc(x):
    return x + 1


class Device:
    """Gives what it has, and then nothing more: `while True` of the examples ends here."""

    def __init__(self, *values):
        self.values = list(values)

    def read_data(self):
        return self.values.pop(0)

    def __bool__(self):
        return bool(self.values)


def process(data):
    get_client()
    Queue("reference-processed").put(data)


def taken(n):
    queue = Queue("reference-processed")
    return sorted(queue.get(timeout=10) for _ in range(n))


def test_my_function(client: Client) -> None:
    def my_function(x):
        # Get locally created client
        client = get_client()

        # Do normal client operations, asking cluster for computation
        a = client.submit(inc, x)
        b = client.submit(inc, x + 1)
        a, b = client.gather([a, b])
        return a + b

    assert client.submit(my_function, 1).result() == 5


def test_monitor(client: Client) -> None:
    def monitor(device):
        client = get_client()
        while device:
            data = device.read_data()
            future = client.submit(process, data)
            fire_and_forget(future)

    devices = [Device(1, 2), Device(3)]
    for device in devices:
        fire_and_forget(client.submit(monitor, device))
    assert taken(3) == [1, 2, 3]


def test_monitor_secedes(client: Client) -> None:
    def monitor(device):
        client = get_client()
        secede()  # remove this task from the thread pool
        while device:
            data = device.read_data()
            future = client.submit(process, data)
            fire_and_forget(future)

    # As many as there are threads: without `secede` a wait in each would be a deadlock.
    for i in range(4):
        fire_and_forget(client.submit(monitor, Device(10 + i)))
    assert taken(4) == [10, 11, 12, 13]


def test_rejoin(client: Client) -> None:
    analyze = sum

    def f(n):  # assume that this runs as a task
        client = get_client()

        secede()  # secede while we wait for results to come back
        futures = client.map(inc, range(n))
        results = client.gather(futures)

        rejoin()  # block until a slot is open in the thread pool
        result = analyze(results)
        return result  # noqa: RET504

    futures = client.map(f, [5] * 8, pure=False)  # more than there are threads
    assert client.gather(futures) == [15] * 8


def test_compute_in_a_task(client: Client, tmp_path) -> None:
    path = tmp_path / "data.csv"
    path.write_text("name,x\nAlice,1\nBob,2\nAlice,3\n")

    def f(name, fn):
        df = dd.read_csv(fn)  # note that this is a dask collection
        result = df[df.name == name].count()

        # This calls secede
        # Then runs the computation on the cluster (including this worker)
        # Then blocks on rejoin, and finally delivers the answer
        result = result.compute()
        return result  # noqa: RET504

    with dask.config.set({"dataframe.convert-string": False}):
        counts = client.gather(client.map(f, ["Alice", "Bob"] * 3, fn=str(path), pure=False))
    assert [int(count["x"]) for count in counts] == [2, 1] * 3


def test_get_client_docstring(client: Client) -> None:
    def f():
        client = get_client(timeout="10s")
        futures = client.map(lambda x: x + 1, range(10))  # spawn many tasks
        results = client.gather(futures)
        return sum(results)

    future = client.submit(f)
    assert future.result() == 55


def test_secede_docstring(client: Client) -> None:
    def mytask(x):
        # do some work
        client = get_client()
        futures = client.map(inc, range(x))  # do some remote work
        secede()  # while that work happens, remove ourself from the pool
        return client.gather(futures)  # return gathered results

    assert client.submit(mytask, 3).result() == [1, 2, 3]


def test_fire_and_forget_docstring(client: Client) -> None:
    func, args = process, ("fired",)
    fire_and_forget(client.submit(func, *args))
    assert taken(1) == ["fired"]


def test_fire_and_forget_in_a_function(client: Client, tmp_path) -> None:
    def load(filename):
        return (tmp_path / filename).read_text()

    def process(data):
        return data.upper()

    def write(data, out_filename):
        (tmp_path / f"{out_filename}.part").write_text(data)
        (tmp_path / f"{out_filename}.part").rename(tmp_path / out_filename)

    def process_file(filename):
        out_filename = "out-" + filename
        a = client.submit(load, filename)
        b = client.submit(process, a)
        c = client.submit(write, b, out_filename)
        fire_and_forget(c)
        return  # here we lose the reference to c, but that's now ok

    filenames = ["a", "b", "c"]
    for filename in filenames:
        (tmp_path / filename).write_text(f"text of {filename}")
    for filename in filenames:
        process_file(filename)
    wait_until(lambda: all((tmp_path / f"out-{name}").exists() for name in filenames))
    assert (tmp_path / "out-b").read_text() == "TEXT OF B"
    # "The results will not be kept in memory after the task completes"
    wait_until(lambda: not [key for key in client.who_has() if key.startswith("write")])


def test_get_worker(client: Client) -> None:
    assert client.submit(lambda: get_worker().address).result() in client.nthreads()
