"""python -m stormdesk.testnet.venue --config FILE"""

from __future__ import annotations

import asyncio
import os
import ssl
import time
from pathlib import Path

from aiohttp import web

from stormdesk.testnet.service import every, log, serve, start, write_pidfile
from stormdesk.testnet.venue.control import control_app
from stormdesk.testnet.venue.keys import Config, Tls
from stormdesk.testnet.venue.order_entry import Desk
from stormdesk.testnet.venue.rest import IDLE, venue_app

TICK_S = 0.1  # between two messages of the fast streams


async def run(config: Config, stop: asyncio.Event) -> None:
    desk = Desk(config)
    app = venue_app(desk)
    public = await serve(app, config.listen)
    runners = [await serve(control_app(desk), config.control), public]
    if config.tls:
        host, _, port = config.tls.listen.rpartition(":")
        await web.TCPSite(public, host, int(port), reuse_address=True, ssl_context=tls_of(config.tls)).start()
    write_pidfile(Path(config.pidfile))
    log.info("venue: open on %s, control on %s, journal at line %d", config.listen, config.control, desk.journal.seq)
    while await every(stop, TICK_S):
        desk.tick()
        if public.server:
            app[IDLE].sweep(public.server.connections, time.monotonic())
    desk.breakpoints.close()
    await desk.hub.farewell()
    for runner in runners:
        await runner.cleanup()
    desk.journal.close()


def tls_of(tls: Tls) -> ssl.SSLContext:
    """The TLS of a server. OpenSSL reads certificates from files only, so this file is in memory."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    with os.fdopen(os.memfd_create("certificate"), "w") as file:
        file.write(tls.certificate + tls.key)
        file.flush()
        context.load_cert_chain(f"/proc/self/fd/{file.fileno()}")
    return context


if __name__ == "__main__":
    start(Config, run)
