"""The server's side of TLS: certificates from files, read again when they change."""

import logging
import ssl
from pathlib import Path

import grpc

from cultivar_service.config import Security
from cultivar_service.errors import StartupRefused

logger = logging.getLogger(__name__)


class UnusableCertificate(ValueError):
    """Certificate, key or authorities that TLS can't be spoken with; the message says why."""


class Certificates:
    """A certificate, its key and the authorities of clients, as files have them now."""

    def __init__(self, certificate: Path, key: Path, client_ca: Path | None) -> None:
        """Read the files.

        Raises:
            UnusableCertificate: they can't be used.
        """
        self._certificate = certificate
        self._key = key
        self._client_ca = client_ca
        self._seen = self._signature()
        self._initial = self._read()

    def credentials(self) -> grpc.ServerCredentials:
        """Return credentials that follow the files."""
        return grpc.dynamic_ssl_server_credentials(
            self._initial, self.changed, require_client_authentication=self._client_ca is not None
        )

    def changed(self) -> grpc.ServerCertificateConfiguration | None:
        """Return what the files have where they changed since the last look; None: go on with what was there before.

        gRPC asks at each handshake, on a thread of its own. A pair that does not fit together, such as a new
        certificate whose key is still on its way, is looked at again at the next change.
        """
        signature = self._signature()
        if signature == self._seen:
            return None
        try:
            configuration = self._read()
        except UnusableCertificate as error:
            self._seen = signature
            logger.error("the certificate stays as it was: %s", error)
            return None
        if self._signature() != signature:
            return None  # written at this moment: the next handshake looks again
        self._seen = signature
        logger.info("%s: the new certificate is in use", self._certificate)
        return configuration

    def _read(self) -> grpc.ServerCertificateConfiguration:
        """Read the files and try them out: gRPC itself would only fail handshakes."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        try:
            certificate, key = self._certificate.read_bytes(), self._key.read_bytes()
            client_ca = None if self._client_ca is None else self._client_ca.read_bytes()
            # An empty password: OpenSSL would ask for one on the terminal.
            context.load_cert_chain(self._certificate, self._key, password="")
            if client_ca is not None:
                context.load_verify_locations(cadata=client_ca.decode("ascii"))
        except ssl.SSLError as error:
            detail = (error.reason or "no PEM file").lower().replace("_", " ")
            raise UnusableCertificate(
                f"{self._certificate} and {self._key} can't be used ({detail}): give a certificate and its key as PEM "
                "files, the key without a password"
            ) from error
        except OSError as error:
            raise UnusableCertificate(f"{error.filename} can't be read: {error.strerror}") from error
        except ValueError as error:
            raise UnusableCertificate(f"{self._client_ca} is no PEM file of certificates") from error
        return grpc.ssl_server_certificate_configuration([(key, certificate)], root_certificates=client_ca)

    def _signature(self) -> tuple[tuple[int, ...], ...]:
        found = []
        for path in (self._certificate, self._key, self._client_ca):
            try:
                status = path.stat() if path is not None else None
            except OSError:
                status = None
            found.append((status.st_mtime_ns, status.st_size, status.st_ino) if status is not None else ())
        return tuple(found)


def server_credentials(security: Security) -> grpc.ServerCredentials | None:
    """Return what the port speaks TLS with; None: it doesn't.

    Raises:
        StartupRefused: the files can't be used.
    """
    if security.certificate is None or security.key is None:
        return None
    try:
        return Certificates(security.certificate, security.key, security.client_ca).credentials()
    except UnusableCertificate as error:
        raise StartupRefused(str(error), exit_status=2) from error
