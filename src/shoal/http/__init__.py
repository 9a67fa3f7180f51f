"""Pages over HTTP: numbers for people, programs and Prometheus.

`lazy_server` listens, with `admission`; nothing else here is loaded before somebody visits. `app`
puts a server together of `server` (limits), `handler` (what all answers share: login, headers) and
the routes of a scheduler or worker. A new page is a `PageHandler` in a module of its own, named in
`scheduler_routes`; what takes more than a plain request (WebSockets) puts `Guarded` in front of
tornado's class. Scripts and styles are served as files, or carry the handler's `nonce`.
"""
