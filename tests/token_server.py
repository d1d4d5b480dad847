"""What gives tokens to the clients of a registry of containers, in tests: Docker's own protocol, on this machine."""

from __future__ import annotations

import base64
import json
import threading
import time
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding


class TokenServer:
    """Gives tokens for what is asked, and nothing more, to who has any name and password.

    Attributes:
        asked: the scopes that were asked for; auth: the configuration of a registry that takes its tokens.
    """

    def __init__(self, folder: Path) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        name, now = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "tokens")]), datetime.now(timezone.utc)
        made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(self._key.public_key())
        made = made.serial_number(1).not_valid_before(now - timedelta(1)).not_valid_after(now + timedelta(1))
        certificate = made.add_extension(x509.BasicConstraints(True, None), critical=True).sign(self._key, SHA256())
        self._der = certificate.public_bytes(Encoding.DER)
        (folder / "tokens.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
        self.asked: list[str] = []
        this = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                scopes = parse_qs(urlsplit(self.path).query).get("scope", [])
                this.asked += scopes
                token = this.token(scopes) if self.headers.get("Authorization", "").startswith("Basic ") else None
                self.send_response(200 if token else 401)
                self.end_headers()
                self.wfile.write(json.dumps({"token": token}).encode())

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        realm = f"http://127.0.0.1:{self._server.server_port}/token"
        bundle = folder / "tokens.pem"
        self.auth = f"{{token: {{realm: '{realm}', service: here, issuer: me, rootcertbundle: {bundle}}}}}"

    def close(self) -> None:
        """Gives no more tokens."""
        self._server.shutdown()
        self._server.server_close()

    def token(self, scopes: list[str]) -> str:
        """One that is good for these scopes alone, signed."""

        def packed(content: bytes) -> str:
            return base64.urlsafe_b64encode(content).rstrip(b"=").decode()

        access = []
        for scope in scopes:
            kind, _, rest = scope.partition(":")
            name, _, actions = rest.rpartition(":")
            access.append({"type": kind, "name": name, "actions": actions.split(",")})
        now = int(time.time())
        claims = {"iss": "me", "sub": "me", "aud": "here", "exp": now + 60, "nbf": now - 5, "iat": now, "jti": "1"}
        head = {"typ": "JWT", "alg": "ES256", "x5c": [base64.b64encode(self._der).decode()]}
        parts = [packed(json.dumps(part).encode()) for part in (head, {**claims, "access": access})]
        signature = self._key.sign(".".join(parts).encode(), ec.ECDSA(SHA256()))
        return ".".join(
            [*parts, packed(b"".join(each.to_bytes(32, "big") for each in decode_dss_signature(signature)))]
        )
