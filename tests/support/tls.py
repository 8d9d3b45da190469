"""TLS for tests: contexts of clients, certificates made by openssl."""
import os
import re
import shutil
import ssl
import subprocess


def client_context(version=None, authority=None, certificate=None):
    """Of a client that believes everybody, or only whom authority (a file) has
    vouched for; version: the one it speaks; certificate: (file, key file)."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if authority is not None:
        context.load_verify_locations(authority)
        context.verify_mode = ssl.CERT_REQUIRED
    if version is not None:
        context.minimum_version = context.maximum_version = version
    if certificate is not None:
        context.load_cert_chain(*certificate)
    return context


def openssl(*words, **options):
    return subprocess.run(["openssl", *words], capture_output=True, text=True,
                          timeout=60, check=True, **options).stdout


class Certificate:
    """A certificate and its key, in files: self-signed, or issued by another
    one."""

    def __init__(self, directory, name, issuer=None, names=(), days=30,
                 key="ec", authority=False):
        self.file = os.path.join(directory, name + ".pem")
        self.key = os.path.join(directory, name + ".key")
        kind = (["-newkey", "rsa:2048"] if key == "rsa" else
                ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"])
        extensions = [
            "-addext", "basicConstraints=critical,CA:"
            + ("TRUE" if authority else "FALSE")]
        if names:
            extensions += ["-addext", "subjectAltName=" + ",".join(names)]
        request = ["req", *kind, "-nodes", "-subj", f"/CN={name}",
                   "-keyout", self.key]
        signing = os.path.join(directory, name + ".csr")
        openssl(*request, *extensions, "-out", signing)
        signer = (["-signkey", self.key] if issuer is None else
                  ["-CA", issuer.file, "-CAkey", issuer.key,
                   "-CAcreateserial"])
        openssl("x509", "-req", "-in", signing, *signer, "-days", str(days),
                "-copy_extensions", "copy", "-out", self.file)
        os.chmod(self.file, 0o644)
        os.chmod(self.key, 0o640)
        if os.geteuid() == 0:
            # Who the server becomes.
            shutil.chown(self.key, group="news")

    def fingerprint(self):
        text = openssl("x509", "-in", self.file, "-noout", "-fingerprint",
                       "-sha256")
        return "sha256:" + text.split("=")[1].strip().replace(":", "").lower()

    def key_fingerprint(self):
        done = subprocess.run(
            f"openssl x509 -in {self.file} -noout -pubkey"
            " | openssl pkey -pubin -outform DER | sha256sum",
            shell=True, capture_output=True, text=True, timeout=60, check=True)
        return "spki-sha256:" + done.stdout.split()[0]


def certificate_put(text, certificate):
    """In place of the one that this text of a renews.conf names, owner and
    mode as they were."""
    for key, source in (("tlscertfile", certificate.file),
                        ("tlskeyfile", certificate.key)):
        with open(source, "rb") as new, open(
                re.search(rf'^{key} = "(.*)"', text, re.M)[1], "r+b") as old:
            old.truncate()
            old.write(new.read())


class HeldTls:
    """A TLS client on a connected socket whose octets the test sends itself:
    say() and shake_hands() return what is to be sent."""

    def __init__(self, plain, context):
        self.plain = plain
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing)

    def shake_hands(self):
        """Returns the last flight, which is not sent yet."""
        while True:
            try:
                self.tls.do_handshake()
                return self.outgoing.read()
            except ssl.SSLWantReadError:
                self.plain.sendall(self.outgoing.read())
                self.incoming.write(self.plain.recv(65536))

    def say(self, octets):
        """One record."""
        self.tls.write(octets)
        return self.outgoing.read()

    def line(self):
        """The next line of what the server says."""
        line = b""
        while not line.endswith(b"\r\n"):
            try:
                line += self.tls.read(1)
            except ssl.SSLWantReadError:
                self.incoming.write(self.plain.recv(65536))
        return line.decode()
