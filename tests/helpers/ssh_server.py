"""A local SFTP server that runs during a test."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import asyncssh

USER, PASSWORD = "nobody", "nothing-at-all"


class _Door(asyncssh.SSHServer):
    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        return (username, password) == (USER, PASSWORD)


@contextmanager
def serve_files() -> Iterator[int]:
    """Serve this machine's files to `USER` from a thread, which ends with this process; yields the port."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    async def listen() -> asyncssh.SSHAcceptor:
        key = asyncssh.generate_private_key("ssh-ed25519")
        return await asyncssh.listen("127.0.0.1", 0, server_factory=_Door, server_host_keys=[key], sftp_factory=True)

    async def close(acceptor: asyncssh.SSHAcceptor) -> None:
        acceptor.close()
        await acceptor.wait_closed()

    acceptor = asyncio.run_coroutine_threadsafe(listen(), loop).result(timeout=30)
    try:
        yield acceptor.get_port()
    finally:
        asyncio.run_coroutine_threadsafe(close(acceptor), loop).result(timeout=30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(timeout=30)
        loop.close()
