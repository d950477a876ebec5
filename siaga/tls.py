"""TLS for `siaga serve`: certificate and key from files, nothing older than 1.2, and a renewed certificate without a restart."""

from __future__ import annotations

import asyncio
import logging
import ssl
import stat
from pathlib import Path

log = logging.getLogger("siaga.tls")

CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""For TLS 1.2: forward secrecy and authenticated encryption only (RFC 9325 section 4.2). TLS 1.3 has no others."""
LOOK_EVERY_S = 60.0
"""Certificates are renewed weeks before they end; a minute is soon enough."""


class Certificate:
    """A certificate with its key, as files that may be replaced while the server runs."""

    def __init__(self, certificate: Path, key: Path) -> None:
        """Raises OSError when a file cannot be read, ssl.SSLError when they do not belong together, ValueError when the key
        may be read by others.
        """
        self.certificate = certificate
        self.key = key
        others = key.stat().st_mode & (stat.S_IROTH | stat.S_IWOTH)
        if others:
            raise ValueError(f"{key} can be read by everybody: chmod 640 it")
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        self.context.set_ciphers(CIPHERS)
        self.context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
        self.context.set_alpn_protocols(["http/1.1"])
        self._load()

    def _load(self) -> None:
        self._seen = self._times()
        self.context.load_cert_chain(self.certificate, self.key)

    def _times(self) -> tuple[float, float]:
        return self.certificate.stat().st_mtime, self.key.stat().st_mtime

    def look_again(self) -> bool:
        """Whether new files were taken over; connections that are open keep the old ones."""
        try:
            if self._times() == self._seen:
                return False
            self._load()
        except (OSError, ssl.SSLError) as error:  # one of the two may not be written yet
            log.error("the renewed certificate cannot be used: %s", error)
            return False
        log.info("the certificate was renewed")
        return True

    async def watch(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            self.look_again()
