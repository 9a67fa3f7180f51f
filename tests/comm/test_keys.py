"""Keys made of a secret, certificates made of keys, and that nothing leads back."""

from __future__ import annotations

import hashlib
import hmac
import ssl

import pytest

from shoal.comm import certificates, keys
from shoal.comm.keys import ROLES, keys_of
from shoal.comm.secret import Secret, new_secret

FULL = keys_of(Secret([new_secret()]))[0]


def role_keys(role: str) -> keys.Keys:
    return keys_of(Secret([certificates.export_role(FULL, role)]))[0]


def test_expansion_is_that_of_rfc_5869() -> None:
    """Test case 1 of its appendix A."""
    salt, info = bytes(range(13)), bytes(range(0xF0, 0xFA)).decode("latin-1")
    root = hmac.digest(salt, b"\x0b" * 22, hashlib.sha256)
    label = info.encode("latin-1")

    class Label(str):
        def encode(self, *_: object) -> bytes:  # type: ignore[override]
            return label

    made = keys._expand(root, Label(), 42)
    assert made.hex() == (
        "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"
    )


def test_each_secret_and_each_use_has_keys_of_its_own() -> None:
    other = keys_of(Secret([new_secret()]))[0]
    made = [
        key
        for each in (FULL, other)
        for key in (each.knock, each.local, each.plain, *each.seeds.values())
    ]
    assert len(set(made)) == 2 * (3 + len(ROLES))


def test_the_secret_of_a_role_holds_that_role_only() -> None:
    client = role_keys("client")
    assert set(client.seeds) == {"client"} and client.plain is None
    assert client.knock == FULL.knock and client.seeds["client"] == FULL.seeds["client"]
    text = certificates.export_role(FULL, "client")
    for hidden in (FULL.seeds["worker"], FULL.seeds["scheduler"], FULL.seeds["peer"], FULL.plain):
        assert hidden not in _decoded(text)


def _decoded(text: str) -> bytes:
    import base64

    return base64.urlsafe_b64decode(text.split("-", 3)[3] + "==")


def test_a_role_connects_as_itself_and_listens_as_nothing_else() -> None:
    client, worker = role_keys("client"), role_keys("worker")
    assert client.role_for("scheduler") == "client" and FULL.role_for(None) == "peer"
    assert worker.role_for("worker", listens=True) == "worker"
    for role in ("worker", "scheduler", None):
        with pytest.raises(PermissionError, match="'client', with which it cannot listen"):
            client.role_for(role, listens=True)
    with pytest.raises(PermissionError, match="takes the cluster's own secret"):
        worker.role_for("scheduler", listens=True)


@pytest.mark.parametrize(
    "change", [lambda t: t[:-6], lambda t: t.replace("client", "worker"), str.lower]
)
def test_a_damaged_secret_of_a_role_is_refused(change: object) -> None:
    text = change(certificates.export_role(FULL, "client"))  # type: ignore[operator]
    with pytest.raises(ValueError, match="damaged"):
        keys_of(Secret([text]))


def test_a_certificate_tells_its_role_to_all_who_know_the_secret() -> None:
    for role in ROLES:
        der = _leaf(certificates.identity_of(FULL, role))
        assert certificates.role_of_certificate(der, FULL) == role
        assert certificates.role_of_certificate(der, role_keys("client")) == role
    with pytest.raises(ssl.SSLError, match="not signed by the peer"):
        certificates.role_of_certificate(der, keys_of(Secret([new_secret()]))[0])


def test_a_client_cannot_sign_for_another_role() -> None:
    """Not by naming another authority, and not by making an authority under its own."""
    client = role_keys("client")
    _, ec, _, serialization = certificates._cryptography()
    key = ec.generate_private_key(ec.SECP256R1())
    leaf = certificates._certificate("it", "scheduler", key.public_key(), client)
    with pytest.raises(ssl.SSLError, match="not signed by the scheduler"):
        certificates.role_of_certificate(leaf.public_bytes(serialization.Encoding.DER), FULL)
    between = certificates._certificate("shoal scheduler", "client", key.public_key(), client, True)
    seeds = {**client.seeds, "scheduler": b""}
    forged = keys.Keys(client.knock, client.local, None, seeds, client.authorities)
    certificates._private_key.cache_clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(certificates, "_private_key", lambda seed: key if not seed else _key(seed))
        leaf = certificates._certificate("it", "scheduler", key.public_key(), forged)
    chain = leaf.public_bytes(serialization.Encoding.PEM)
    chain += between.public_bytes(serialization.Encoding.PEM)
    chain += key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with certificates._as_file(chain) as path:
        context.load_cert_chain(path)
    with pytest.raises(ssl.SSLCertVerificationError, match=r"signature failure|path length"):
        _meet(certificates.identity_of(FULL, "worker").accepts, context)


def _key(seed: bytes) -> object:
    _, ec, _, _ = certificates._cryptography()
    return ec.derive_private_key(keys.scalar_of(seed), ec.SECP256R1())


def _leaf(identity: certificates.Identity) -> bytes:
    """Return the certificate of an identity, as a peer gets it."""
    return _meet(certificates.identity_of(FULL, "worker").accepts, identity.connects)


def _meet(accepts: ssl.SSLContext, connects: ssl.SSLContext) -> bytes:
    """Do a handshake; return the certificate of the side that connects."""
    pipes = [ssl.MemoryBIO() for _ in range(4)]
    mine = accepts.wrap_bio(pipes[0], pipes[1])
    peer = connects.wrap_bio(pipes[2], pipes[3], server_side=True)
    for _ in range(4):
        for side, out, other in ((mine, pipes[1], pipes[2]), (peer, pipes[3], pipes[0])):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                pass
            other.write(out.read())
    found = mine.getpeercert(binary_form=True)
    assert found is not None
    return found
