"""Examples of `pubsub.txt`, and of Publish-Subscribe in `futures-api.txt`, that need a loop.

Those of ordinary code are in `tests/coordination/test_reference.py`.
"""

from __future__ import annotations

from helpers import run

from shoal import Client, Pub, Sub, get_worker


def test_pubsub_docstring(client: Client, capsys) -> None:
    pub = Pub("reference-topic")
    sub = Sub("reference-topic")
    pub.put([1, 2, 3])
    assert sub.get() == [1, 2, 3]

    # You can also use sub within a for loop
    pub.put("a")
    for msg in sub:
        print(msg)
        break
    assert capsys.readouterr().out == "a\n"


def test_next_is_get(client: Client) -> None:
    pub, sub = Pub("reference-next"), Sub("reference-next")
    pub.put(1)
    pub.put(2)
    assert sub.next(timeout="5s") == 1
    assert next(sub) == 2


def test_async_for_and_await(client: Client) -> None:
    async def f():
        address = client.scheduler.address
        async with Client(address, asynchronous=True, set_as_default=False) as here:
            pub = Pub("reference-async", client=here)
            sub = await Sub("reference-async", client=here)
            pub.put("first")
            pub.put("second")
            heard = []
            async for msg in sub:
                heard.append(msg)
                break
            return [*heard, await sub.get()]

    assert run(f()) == ["first", "second"]


def test_await_on_the_loop_of_a_worker(client: Client) -> None:
    async def listen():
        worker = get_worker()
        sub = await Sub("reference-loop", worker=worker)
        Pub("reference-loop", worker=worker).put("hello")
        return await sub.get()

    assert client.submit(listen).result(timeout=10) == "hello"
