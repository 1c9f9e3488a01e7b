"""A private OpenLDAP."""

import shutil
from pathlib import Path
from typing import Any, ClassVar

from support.ports import free_port

from .base import Server, answers, find_program

_SCHEMA = Path(__file__).resolve().parents[2] / "docs" / "emperor.ldif"
_SUFFIX, _PLAIN, _STALE = "dc=emperor,dc=test", "dc=plain,dc=test", "dc=stale,dc=test"
_PASSWORD = "s3cr/t %41?of,the \xe4dmin"  # noqa: S105 - must survive every quoting there is

_CONFIG = """\
dn: cn=config
objectClass: olcGlobal
cn: config
olcLogLevel: none
olcThreads: 4
olcSizeLimit: unlimited
olcTLSCertificateFile: {folder}/certificate.pem
olcTLSCertificateKeyFile: {folder}/key.pem

dn: cn=module,cn=config
objectClass: olcModuleList
cn: module
olcModulePath: {modules}
olcModuleLoad: back_mdb
olcModuleLoad: syncprov

dn: cn=schema,cn=config
objectClass: olcSchemaConfig
cn: schema

include: file:///etc/ldap/schema/core.ldif

include: file:///etc/ldap/schema/cosine.ldif

include: file:///etc/ldap/schema/nis.ldif

include: file://{folder}/emperor.ldif

dn: olcDatabase={{-1}}frontend,cn=config
objectClass: olcDatabaseConfig
objectClass: olcFrontendConfig
olcDatabase: {{-1}}frontend

dn: olcDatabase={{0}}config,cn=config
objectClass: olcDatabaseConfig
olcDatabase: {{0}}config
olcRootDN: cn=admin,{suffix}

"""

_MONITOR = """\
dn: olcDatabase=monitor,cn=config
objectClass: olcDatabaseConfig
olcDatabase: monitor

"""

_DATABASE = """\
dn: olcDatabase={{{number}}}mdb,cn=config
objectClass: olcDatabaseConfig
objectClass: olcMdbConfig
olcDatabase: {{{number}}}mdb
olcSuffix: {suffix}
olcDbDirectory: {folder}/data{number}
olcDbEnvFlags: nosync
olcDbMaxSize: 268435456
olcDbIndex: objectClass,entryUUID,entryCSN eq
olcRootDN: cn=admin,dc=emperor,dc=test
olcAccess: to attrs=userPassword by anonymous auth by * none
olcAccess: to attrs=entryCSN by anonymous none by * read
olcAccess: to dn.exact="{suffix}" by dn.exact="cn=tenant,dc=emperor,dc=test" none by * read
olcAccess: to * by * read
olcLimits: dn.exact="cn=limited,dc=emperor,dc=test" size=3
olcLimits: dn.exact="cn=paging,dc=emperor,dc=test" size=3 size.prtotal=unlimited

"""

_SYNCPROV = """\
dn: olcOverlay=syncprov,olcDatabase={1}mdb,cn=config
objectClass: olcOverlayConfig
objectClass: olcSyncProvConfig
olcOverlay: syncprov
olcSpSessionlog: 100

"""

_SUFFIX_ENTRY = """\
dn: {suffix}
objectClass: dcObject
objectClass: organization
dc: {dc}
o: {dc}

"""

# As in the dump of a server that had synchronization.
_STALE_CSN = "contextCSN: 20260101000000.000000Z#000000#000#000000\n"

_ACCOUNT = """\
dn: cn={name},{suffix}
objectClass: organizationalRole
objectClass: simpleSecurityObject
cn: {name}
userPassword: {password}

"""


class OpenLDAP(Server):
    """Three databases: one offers syncrepl; two do not, and one of these has a contextCSN that
    stays as it is.

    ``cn=admin`` may write both and ``cn=config``. Some users have the same password: ``cn=reader``,
    and ``cn=limited``, which is given three entries of a search at most. So do ``cn=paging``
    (three, unless by pages) and ``cn=tenant``, which does not see the suffixes themselves. An
    anonymous client sees everything but ``entryCSN``. ``cn=Monitor`` counts what is sent.
    """

    name = "openldap"
    packages = ("slapd", "ldap-utils", "openssl")
    user = "openldap"
    modules: ClassVar[tuple[str, ...]] = ("/usr/lib/ldap", "/usr/lib/*/openldap")

    def prepare(self) -> None:
        self._tls_port = free_port()
        self._make_certificate()
        shutil.copyfile(_SCHEMA, self.folder / "emperor.ldif")
        (self.folder / "emperor.ldif").chmod(0o644)
        config = _CONFIG.format(
            folder=self.folder,
            modules=find_program(*(f"{place}/syncprov*.so" for place in self.modules)).rpartition(
                "/"
            )[0],
            suffix=_SUFFIX,
        )
        for number, suffix in ((1, _SUFFIX), (2, _PLAIN), (3, _STALE)):
            config += _DATABASE.format(number=number, suffix=suffix, folder=self.folder)
            self.run("mkdir", f"data{number}")
            config += _SYNCPROV if suffix == _SUFFIX else ""
        config += _MONITOR
        self.run("mkdir", "config")
        self._load(0, config)
        accounts = "".join(
            _ACCOUNT.format(name=name, suffix=_SUFFIX, password=_PASSWORD)
            for name in ("admin", "reader", "limited", "paging", "tenant")
        )
        self._load(1, _SUFFIX_ENTRY.format(suffix=_SUFFIX, dc="emperor") + accounts)
        self._load(2, _SUFFIX_ENTRY.format(suffix=_PLAIN, dc="plain"))
        stale = _SUFFIX_ENTRY.format(suffix=_STALE, dc="stale").rstrip()
        self._load(3, f"{stale}\n{_STALE_CSN}")

    def _make_certificate(self) -> None:
        self.run(
            *("openssl", "req", "-x509", "-nodes", "-days", "30", "-subj", "/CN=localhost"),
            *("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"),
            *("-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"),
            *("-keyout", "key.pem", "-out", "certificate.pem"),
        )

    def _load(self, number: int, ldif: str) -> None:
        path = self.folder / f"{number}.ldif"
        path.write_text(ldif)
        path.chmod(0o644)
        slapadd = find_program("slapadd", "/usr/sbin/slapadd")
        config = str(self.folder / "config")
        self.run(slapadd, "-q", "-F", config, "-n", str(number), "-l", str(path))

    def command(self) -> list[str]:
        urls = f"ldap://127.0.0.1:{self.port} ldaps://127.0.0.1:{self._tls_port}"
        slapd = find_program("slapd", "/usr/sbin/slapd")
        # -d keeps it in the foreground, whatever the level.
        return [slapd, "-d", "0", "-F", str(self.folder / "config"), "-h", urls]

    def is_ready(self) -> bool:
        return answers(self.port) and answers(self._tls_port)

    def address(self) -> dict[str, Any]:
        return {
            "port": self.port,
            "tls_port": self._tls_port,
            "certificate": str(self.folder / "certificate.pem"),
            "suffix": _SUFFIX,
            "plain": _PLAIN,
            "stale": _STALE,
            "admin": f"cn=admin,{_SUFFIX}",
            "password": _PASSWORD,
        }
