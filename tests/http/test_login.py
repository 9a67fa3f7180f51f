"""Who is let in: nobody without a login where others can reach the pages; and what headers say."""

from __future__ import annotations

import asyncio
import logging
import re
import ssl
from typing import Any

import dask
import pytest
from click.testing import CliRunner
from helpers import run

from shoal import Client, LocalCluster, Scheduler
from shoal.cli.token import token as token_command
from shoal.comm.page_tokens import LINK, ONCE, PageTokens
from shoal.comm.secret import new_secret
from shoal.diagnostics.links import is_loopback, member_link
from shoal.http.admission import Admission
from shoal.security import Security

SECRET = new_secret()
OPEN = {"protocol": "inproc", "dashboard_address": "0.0.0.0:0"}


def scheduler(**options: Any) -> Scheduler:
    return Scheduler(security=Security(secret=SECRET), **{**OPEN, **options})


def tokens() -> PageTokens:
    return PageTokens.configured(SECRET)


def test_without_login_there_is_nothing_but_health_and_where_to_log_in(visitor: Any) -> None:
    async def main() -> None:
        async with scheduler() as s:
            v = visitor(s)
            assert (await v.ask("/health")).text == "ok"
            for path in ("/json/counts.json", "/metrics", "/nothing", "/status/more"):
                answer = await v.ask(path)
                assert answer.status == 401, path
                assert answer.headers["Www-Authenticate"] == 'Bearer realm="shoal"'
                assert "shoal token" in answer.text and s.id not in answer.text
            for path in ("/status", "/"):
                answer = await v.ask(path)
                assert (answer.status, answer.headers["Location"]) == (303, "login")
            page = await v.ask("/login")
            assert page.status == 200 and 'method="post"' in page.text
            # Names of other machines lead to the login, not to an error about names.
            assert (await v.ask("/status", Host="lake.example")).status == 303

    run(main())


def test_programs_send_a_bearer_token(visitor: Any) -> None:
    async def main() -> None:
        async with scheduler() as s:
            v = visitor(s)
            good = f"Bearer {tokens().bearer}"
            for path in ("/status", "/metrics", "/json/counts.json"):
                answer = await v.ask(path, Authorization=good)
                assert answer.status == 200 and answer.cookies == []
            assert (await v.ask("/nothing", Authorization=good)).status == 404
            for bad in ("Bearer x", f"Basic {tokens().bearer}", "Bearer", good + "x"):
                assert (await v.ask("/metrics", Authorization=bad)).status == 401

    run(main())


def test_a_link_with_a_token_gives_a_browser_a_session(visitor: Any) -> None:
    async def main() -> None:
        async with scheduler() as s:
            v = visitor(s)
            token = tokens().make(LINK)
            answer = await v.ask(f"/status?a=1&token={token}", Sec_Fetch_Dest="document")
            assert (answer.status, answer.headers["Location"]) == (303, "?a=1")
            (cookie,) = answer.cookies
            name, _, rest = cookie.partition("=")
            assert name == f"shoal-{v.port}"
            assert {"HttpOnly", "Path=/", "SameSite=Lax"} <= set(rest.split("; "))
            value = cookie.partition(";")[0]
            assert (await v.ask("/status", Cookie=value)).status == 200
            assert (await v.ask("/json/counts.json", Cookie=value)).status == 200
            assert (await v.ask("/status", Cookie=value[:-1])).status == 303
            # A frame of another site keeps no cookies: the link serves again.
            for _ in range(2):
                assert (
                    await v.ask(f"/status?token={token}", Sec_Fetch_Dest="iframe")
                ).status == 200

    run(main())


def test_behind_https_the_cookie_is_for_https_only(visitor: Any) -> None:
    async def main() -> None:
        proxied = {"dashboard": {"use_xheaders": True}}
        async with scheduler(service_kwargs=proxied, http_prefix="a/b") as s:
            v = visitor(s)
            link = f"/a/b/status?token={tokens().make(LINK)}"
            (cookie,) = (await v.ask(link, X_Forwarded_Proto="https")).cookies
            assert {"Secure", "Path=/a/b/"} <= set(cookie.split("; "))
        async with scheduler() as s:  # nobody said that headers can be believed
            v = visitor(s)
            link = f"/status?token={tokens().make(LINK)}"
            (cookie,) = (await v.ask(link, X_Forwarded_Proto="https")).cookies
            assert "Secure" not in cookie

    run(main())


def test_the_printed_link_admits_one_visitor(
    visitor: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="shoal.http")

    async def main() -> None:
        async with scheduler() as s:
            v = visitor(s)
            (link,) = re.findall(r"Pages at: (\S+)", caplog.text)
            path = link[link.index("/status") :]
            first = await v.ask(path)
            assert first.status == 303 and len(first.cookies) == 1
            value = first.cookies[0].partition(";")[0]
            assert (await v.ask("/status" + first.headers["Location"], Cookie=value)).status == 200
            second = await v.ask(path)
            assert (second.status, second.headers["Location"]) == (303, "login")
            assert second.cookies == []

    run(main())


def test_the_form_takes_a_token(visitor: Any) -> None:
    async def main() -> None:
        async with scheduler() as s:
            v = visitor(s)
            form = "application/x-www-form-urlencoded"
            for sent in (tokens().bearer, tokens().make(ONCE)):
                answer = await v.ask("/login", "POST", f"token={sent}", Content_Type=form)
                assert (answer.status, answer.headers["Location"]) == (303, "status")
                assert len(answer.cookies) == 1
            answer = await v.ask("/login", "POST", "token=wrong", Content_Type=form)
            assert answer.status == 403 and answer.cookies == [] and "not good" in answer.text
            answer = await v.ask(
                "/login",
                "POST",
                f"token={tokens().bearer}",
                Content_Type=form,
                Origin="http://evil",
            )
            assert answer.status == 403 and "page of elsewhere" in answer.text

    run(main())


def test_login_can_be_asked_for_everywhere_and_for_nothing(visitor: Any) -> None:
    async def main() -> None:
        with dask.config.set({"shoal.dashboard.login": False}):
            async with scheduler() as s:
                v = visitor(s)
                assert (await v.ask("/status", Host="lake.example")).status == 200
                assert "token" not in s.dashboard_link
        with dask.config.set({"shoal.dashboard.login": True}):
            async with scheduler(dashboard_address=":0") as s:
                v = visitor(s)
                assert (await v.ask("/status")).status == 303
                assert "token=" in s.dashboard_link
        with dask.config.set({"shoal.dashboard.open": ["/metrics"]}):
            async with scheduler(http_prefix="me") as s:
                v = visitor(s)
                assert (await v.ask("/me/metrics")).status == 200
                assert (await v.ask("/me/json/counts.json")).status == 401

    run(main())


def test_a_hub_in_front_of_this_machines_pages_needs_a_link_with_a_token(visitor: Any) -> None:
    async def main() -> None:
        async with scheduler(dashboard_address=":0") as s:
            v = visitor(s)
            hub = "hub.example.org"
            assert (await v.ask("/status", Host=hub)).status == 403
            with dask.config.set({"distributed.dashboard.link": "https://hub.example.org/{port}"}):
                link = s.dashboard_link
            assert link.startswith("https://hub.example.org/")
            query = link.partition("?")[2]
            answer = await v.ask(f"/status?{query}", Host=hub)
            assert answer.status == 200
            value = answer.cookies[0].partition(";")[0]
            assert (await v.ask("/status", Host=hub, Cookie=value)).status == 200

    run(main())


def test_in_a_jupyterhub_the_names_of_the_hub_are_known(
    visitor: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUPYTERHUB_SERVICE_PREFIX", "/user/ann/")

    async def main() -> None:
        async with scheduler(dashboard_address=":0") as s:
            assert (await visitor(s).ask("/status", Host="hub.example.org")).status == 200

    run(main())


def test_headers_keep_pages_from_running_what_found_its_way_in(visitor: Any) -> None:
    async def main() -> None:
        async with scheduler(dashboard_address=":0") as s:
            v = visitor(s)
            for path in ("/status", "/metrics", "/nothing", "/login", "/health"):
                answer = await v.ask(path)
                policy = answer.headers["Content-Security-Policy"]
                assert "unsafe" not in policy and policy.startswith("default-src 'none'")
                assert answer.headers["X-Content-Type-Options"] == "nosniff"
                assert answer.headers["Referrer-Policy"] == "no-referrer"
                assert "frame" not in policy and "X-Frame-Options" not in answer.headers
            pages = [await v.ask("/login") for _ in range(2)]
            nonces = [
                re.findall(r"style-src 'nonce-([^']+)'", p.headers["Content-Security-Policy"])
                for p in pages
            ]
            assert nonces[0] != nonces[1]
            for page, (nonce,) in zip(pages, nonces, strict=True):
                marks = re.findall(r"<(?:style|script)[^>]*>", page.text)
                assert marks and all(f'nonce="{nonce}"' in mark for mark in marks)
                assert re.findall(r"\sstyle=|\son\w+=", page.text) == []

    run(main())


def test_requests_that_do_not_arrive_are_ended_and_connections_are_counted(visitor: Any) -> None:
    async def main() -> None:
        with dask.config.set(
            {"shoal.dashboard.request-timeout": "200ms", "shoal.dashboard.connections": 3}
        ):
            async with scheduler() as s:
                v = visitor(s)
                assert (await v.ask("/health")).text == "ok"
                half = [
                    "GET /health HTTP/1.1\r\nHost: x",
                    "POST /login HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\ntoken=",
                    "",
                ]
                for sent in half:
                    reader, writer = await asyncio.open_connection("127.0.0.1", v.port)
                    writer.write(sent.encode())
                    assert await asyncio.wait_for(reader.read(), 10) == b""  # it was hung up
                    writer.close()
        with dask.config.set({"shoal.dashboard.connections": 3}):
            async with scheduler() as s:
                v = visitor(s)
                assert (await v.ask("/health")).text == "ok"
                silent = [await asyncio.open_connection("127.0.0.1", v.port) for _ in range(5)]
                assert await asyncio.wait_for(silent[0][0].read(), 10) == b""
                assert (await v.ask("/health")).text == "ok"
                for _, writer in silent:
                    writer.close()

    run(main())


def test_links_of_members_and_what_is_logged_of_them() -> None:
    with (
        LocalCluster(
            n_workers=1, processes=False, dashboard_address="0.0.0.0:0", security=None
        ) as cluster,
        Client(cluster) as client,
    ):
        for each in (cluster, client, cluster.scheduler):
            assert "?token=l-" in each.dashboard_link
            assert "token" not in repr(each) and "/status" in repr(each)
            assert "?token=l-" in each._repr_html_()


def test_a_link_without_pages_or_secret_stays_as_it_is() -> None:
    assert member_link({}, SECRET) == ""
    identity = {
        "services": {"dashboard": 80},
        "address": "tcp://192.0.2.1:1",
        "dashboard_host": "0.0.0.0",
        "dashboard_login": True,
    }
    assert member_link(identity, SECRET).startswith("http://192.0.2.1:80/status?token=l-")
    assert member_link(identity, "too weak") == "http://192.0.2.1:80/status"


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.0.1", "::1", "localhost"])
def test_this_machine(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "", "::", "lake.example", None, "10.0.0.1"])
def test_other_machines(host: str | None) -> None:
    assert not is_loopback(host)


def test_the_command_prints_what_the_pages_admit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOAL_SECRET", SECRET)
    printed = CliRunner().invoke(token_command).stdout.strip()
    assert printed == tokens().bearer
    once = CliRunner().invoke(token_command, ["--once"]).stdout.strip()
    assert tokens().check(once) == ONCE
    monkeypatch.setenv("SHOAL_SECRET", "weak")
    result = CliRunner().invoke(token_command)
    assert result.exit_code == 1 and "too weak" in result.output


def test_pages_over_https(visitor: Any, tmp_path: Any) -> None:
    security = Security.temporary()
    (tmp_path / "key").write_text(security.tls_scheduler_key or "")
    (tmp_path / "cert").write_text(security.tls_scheduler_cert or "")
    base = "distributed.scheduler.dashboard.tls"
    files = {f"{base}.cert": str(tmp_path / "cert"), f"{base}.key": str(tmp_path / "key")}

    async def main() -> None:
        with dask.config.set(files):
            async with scheduler() as s:
                assert s.dashboard_link.startswith("https://")
                context = ssl.create_default_context(cafile=str(tmp_path / "cert"))
                context.check_hostname = False
                port = s.services["dashboard"].port
                reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
                link = f"/status?token={tokens().make(LINK)}"
                writer.write(
                    f"GET {link} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()
                )
                answer = (await asyncio.wait_for(reader.read(), 20)).decode()
                writer.close()
                assert " 200 " in answer.splitlines()[0] and "; Secure" in answer
        with dask.config.set({**files, f"{base}.ca-file": str(tmp_path / "cert")}):
            async with scheduler() as s:
                port = s.services["dashboard"].port
                for certified, code in ((False, "303"), (True, "200")):
                    if certified:
                        context.load_cert_chain(files[f"{base}.cert"], files[f"{base}.key"])
                    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
                    writer.write(b"GET /status HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                    answer = (await asyncio.wait_for(reader.read(), 20)).decode()
                    writer.close()
                    assert f" {code} " in answer.splitlines()[0]
        with (
            dask.config.set({**files, f"{base}.key": None}),
            pytest.raises(ValueError, match="both"),
        ):
            await scheduler()
        wrong = {**files, f"{base}.cert": "/nowhere"}
        with dask.config.set(wrong), pytest.raises(FileNotFoundError, match=r"tls\.cert"):
            await scheduler()

    run(main())


def test_programs_of_trusted_networks_call_the_api_and_nothing_else(visitor: Any) -> None:
    """As Kubernetes' operator for dask does, which sends no token."""

    async def main() -> None:
        with dask.config.set({"shoal.dashboard.trusted": ["127.0.0.0/8"]}):
            async with scheduler() as s:
                v = visitor(s)
                answer = await v.ask("/api/v1/retire_workers", "POST", '{"n": 0}')
                assert (answer.status, answer.text) == (200, "{}")
                assert (await v.ask("/api/v1/check_idle")).status == 200
                assert (await v.ask("/api/v1/adaptive_target")).status == 200
                assert (await v.ask("/metrics")).status == 401
                page = {"Origin": f"http://127.0.0.1:{v.port}"}
                answer = await v.ask("/api/v1/retire_workers", "POST", '{"n": 0}', **page)
                assert answer.status == 401
        with dask.config.set({"shoal.dashboard.trusted": ["10.0.0.0/8"]}):
            async with scheduler() as s:
                v = visitor(s)
                answer = await v.ask("/api/v1/retire_workers", "POST", '{"n": 0}')
                assert answer.status == 401
        with (
            dask.config.set({"shoal.dashboard.trusted": ["everybody"]}),
            pytest.raises(ValueError, match="networks such as"),
        ):
            Admission("0.0.0.0", tokens)

    run(main())
