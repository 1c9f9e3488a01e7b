"""Where the [emperor] section of a config is, and that none is lost to a parser that refuses."""

import time

import pytest
from emperord.monitors import settings

USER = {"user": "nobody", "group": "nogroup"}
OURS = "emperor:\n  user: nobody\n  group: nogroup\n"
PERCENT = "uwsgi:\n  chdir: %d\n"  # no YAML, and everyday uWSGI
SCANNED = "line {}: found character that cannot start any token"
MAPPED = "line {}: mapping values are not allowed in this context"
UNSURE = "line {}: cannot be read, as the text is no YAML: "  # which lines are the section
QUOTE = "; quote the value on that line, and indent with blanks only"
ENCODE = "; save the file as UTF-8 without control characters"

# Texts that are no YAML, with a section whose lines are certain.
KEPT = {
    "%d behind it": OURS + PERCENT,
    "%d before it": PERCENT + OURS,
    "a colon in a value": OURS + "uwsgi:\n  env: TITLE=shop: the good one\n",
    "a quote that stays open": OURS + "uwsgi:\n  env: 'x\n",
    "a quote that stays open before it": "uwsgi:\n  env: 'x\n" + OURS,
    "Latin-1 in a comment": "# caf\udce9\n" + OURS + "uwsgi:\n",
    "a control character in a comment": "# \x01\n" + OURS,
    "a comment behind it": OURS + "# caf\udce9\n  # \x01\n\n" + PERCENT,
    "a second document": PERCENT.replace("%d", "/") + "---\n" + OURS,
    "a first document": "---  # ours\n" + OURS + "---\nuwsgi:\n  master: true\n...\n",
    "tabs": OURS + "uwsgi:\n\tchdir: /\n",
    "CRLF": (OURS + PERCENT).replace("\n", "\r\n"),
    "a byte order mark": "\ufeff" + OURS + PERCENT,
    "quoted keys": OURS.replace("emperor", '"emperor"') + PERCENT.replace("uwsgi", "'uwsgi'"),
    "a blank before the colon": OURS.replace("emperor:", "emperor :") + PERCENT,
    "on one line": "emperor: {user: nobody, group: nogroup}\n" + PERCENT,
    "a comment in it": "emperor: # ours\n# who\n\n  user: nobody\n  group: nogroup\n" + PERCENT,
    "a comment that names it": "# {emperor: x}\n" + OURS + PERCENT,
    "uWSGI's option": PERCENT + "  emperor: /etc/vassals\n" + OURS,
}


@pytest.mark.parametrize("text", KEPT.values(), ids=KEPT)
def test_a_section_in_what_is_no_yaml_counts(text: str) -> None:
    content = text.encode("utf-8", "surrogateescape")
    assert settings.read("a.yml", content) == (USER, None)


def test_its_values_are_those_of_yaml() -> None:
    section = (
        "emperor:\n  command: [run, a b]\n  umask: '077'\n  environment: >\n    A=1\n    B=2\n"
    )
    alone = settings.read("a.yml", section.encode())
    assert alone == ({"command": "run 'a b'", "umask": "077", "environment": "A=1 B=2"}, None)
    assert settings.read("a.yml", (PERCENT + section).encode()) == alone


BARRED = {
    "a colon in its value": (
        PERCENT + "emperor:\n  command: sleep 7: x\n",
        MAPPED.format(4) + QUOTE,
    ),
    "%d in it": ("emperor:\n  directory: %d\n", SCANNED.format(2) + QUOTE),
    "a tab in it": ("emperor:\n\tuser: nobody\n", SCANNED.format(2) + QUOTE),
    "Latin-1 in it": (
        "emperor:\n  # \udce9\n  user: nobody\n",
        "line 2: invalid trailing UTF-8 octet" + ENCODE,
    ),
    "a name of the text beside it": (
        "x: &x {user: nobody}\nemperor: *x\n" + PERCENT,
        "line 2: found undefined alias" + QUOTE,
    ),
    "an open bracket": ("emperor: [\n", "line 2: did not find expected node content"),
    "endless": ("emperor: &x {command: *x}", "line 1: found unconstructable recursive node"),
    "not UTF-8": ("emperor: \udcff", "line 1: invalid leading UTF-8 octet" + ENCODE),
}


@pytest.mark.parametrize(("text", "reason"), BARRED.values(), ids=BARRED)
def test_one_that_cannot_be_read_bars_the_vassal(text: str, reason: str) -> None:
    found, flaw = settings.read("a.yml", text.encode("utf-8", "surrogateescape"))
    assert found == {}
    assert (flaw or "").startswith(f"[emperor] cannot be read: {reason}")


# The line where the section may begin, and the one that is no YAML.
UNCERTAIN = {
    "two of them": (OURS + OURS + PERCENT, 1, 8),
    "a brace that ends below it": ("emperor: {\n  user: nobody\n}\n" + PERCENT, 1, 5),
    "in braces": ("{\n  emperor: {user: nobody},\n  uwsgi: {chdir: %d}\n}\n", 2, 3),
    "in quotes in braces": (
        '{"uwsgi": {"chdir": %d},\n  "emperor": {"user": "nobody"}}\n', 2, 1
    ),
    "in braces that are indented": ("--- # x\n  {\nuwsgi: {a: %d}, emperor: {user: x}}\n", 3, 3),
    "in braces with a tag": ("--- !!map\n{uwsgi: {a: %d}, emperor : {user: x}}\n", 2, 2),
    "a hash in a value of braces": ('{"a": " #", "emperor": {}, "b": %d}\n', 1, 1),
    "a list at the margin": ("emperor:\n- user\n" + PERCENT, 1, 4),
    "all of it is indented": (" uwsgi:\n   chdir: %d\n emperor:\n   user: nobody\n", 3, 2),
    "capital letters": (PERCENT + "EMPEROR:\n  user: nobody\n", 3, 2),
    "a blank in quotes": (PERCENT + '"emperor ":\n  user: nobody\n', 3, 2),
    "a blank in quotes before it": (PERCENT + "' emperor':\n  user: nobody\n", 3, 2),
    "a blank in quotes in braces": ('{"emperor " : {}, "uwsgi": %d}\n', 1, 1),
    "a question mark": (PERCENT + "? emperor\n: {user: nobody}\n", 3, 2),
    "a question mark before a brace": ("? emperor # x\n: {user: nobody}\n{a: %d}\n", 1, 3),
    "a tag": (PERCENT + "!!str emperor: {user: nobody}\n", 3, 2),
}  # fmt: skip


@pytest.mark.parametrize(("text", "begins", "refused"), UNCERTAIN.values(), ids=UNCERTAIN)
def test_one_whose_lines_are_uncertain_bars_the_vassal(
    text: str, begins: int, refused: int
) -> None:
    reason = UNSURE.format(begins) + SCANNED.format(refused) + QUOTE
    assert settings.read("a.yml", text.encode()) == ({}, f"[emperor] {reason}")


@pytest.mark.parametrize("text", ["[" * 100_000, "a" * settings.LONGEST_COMMAND])
def test_one_in_what_is_no_yaml_has_a_limit(text: str) -> None:
    """It is parsed after the whole text was, so a tenant would have twice the time of others."""
    content = (PERCENT + "emperor:\n  command: " + text).encode()
    size = len(content) - len(PERCENT)
    _, flaw = settings.read("a.yml", content)
    begins = f"[emperor] line 3: has {size} bytes, 32768 are allowed in a text that is no YAML: "
    assert (flaw or "").startswith(begins)


# The key as it is written, beside another line that is no YAML.
UNSEEN = {
    "a blank that is not seen": "\xa0emperor",
    "such a blank and another": "\xa0 emperor",
    "such a blank behind it": "emperor\xa0",
    "such a blank of Latin-1": "\udca0emperor",
    "such a blank in quotes": "'emperor\xa0'",
    "such a blank behind a tag": "!!str \xa0emperor",
    "such a blank behind a question mark": "? \xa0emperor\n",
    "a character without width": "\u200bemperor",
    "a byte order mark": "\ufeffemperor",
    "a byte order mark before quotes": '\ufeff"emperor"',
}


@pytest.mark.parametrize("key", UNSEEN.values(), ids=UNSEEN)
def test_a_name_with_a_character_that_is_not_seen_bars_the_vassal(key: str) -> None:
    text = f"{PERCENT}{key}:\n  user: nobody\n"
    found, flaw = settings.read("a.yml", text.encode("utf-8", "surrogateescape"))
    assert found == {}
    assert (flaw or "").startswith("[emperor] line 3: ")
    assert (flaw or "").endswith(" has a character that editors do not show; type the line again")


@pytest.mark.parametrize("text", ["{user: nobody}", '{"emperor\xa0": {user: nobody}}'])
def test_so_does_one_in_braces(text: str) -> None:
    head = "" if "emperor" in text else "emperor: "
    content = f"a: b\n\ufeff{head}{text}\n".encode()
    _, flaw = settings.read("a.yml", content)
    assert (flaw or "").startswith("[emperor] line 2: \\ufeff")


XML_SECTION = "<emperor><user>nobody</user></emperor>"
UNSIGNED = {
    "uWSGI's option": ("a.yml", "uwsgi:\n  emperor: /etc/vassals\n  chdir: %d\n"),
    "a value": ("a.yml", PERCENT + "  env: A=emperor\n"),
    "another key": ("a.yml", PERCENT + "emperors:\n  a: b\n"),
    "another key, behind a blank": ("a.yml", PERCENT + "emperor s:\n  a: b\n"),
    "uWSGI's option behind blanks": ("a.yml", PERCENT + "  \xa0emperor: /etc/vassals\n"),
    "a comment": ("a.yml", "# emperor: gone\n" + PERCENT),
    "a comment behind a value": ("a.yml", PERCENT + "  stats: /s  # off, emperor: see it\n"),
    "JSON in a value": ("a.yml", PERCENT + """  log-encoder: json {"a":"b","emperor":"main"}\n"""),
    "braces in a value": ("a.yml", PERCENT + """  logformat: '{"emperor": "%(host)"}'\n"""),
    "a comma in a value": ("a.yml", PERCENT + "  env: A=1, emperor: b\n"),
    "braces on lines of their own": ("a.yml", PERCENT + "  x: {\n  emperor: {}\n  }\n"),
    "json, uWSGI's option": ("a.json", '{"uwsgi": {"emperor": "/etc/vassals"'),
    "json, uWSGI's options": ("a.json", '{"uwsgi": {"emperor": ["/etc/vassals"'),
    "json, very deep": ("a.json", '{"emperor":' + "[" * 100_000),
    "json, a string": ("a.json", """{"uwsgi": {"env": "see emperor: docs"},}"""),
    "json, quotes in a string": ("a.json", r"""{"env": "see \"emperor\": {}",}"""),
    "json, a comment": ("a.json", '{"uwsgi": {}} // its "emperor": {}, emperor: 5'),
    "json, a long comment": ("a.json", '/* "emperor": {} */ {"uwsgi": {}}'),
    "xml, a comment": ("a.xml", f"<uwsgi><!-- {XML_SECTION} --><x>&nbsp;</x></uwsgi>"),
    "xml, a comment in uWSGI's option": ("a.xml", "<emperor><!-- a -->/v</emperor>&nbsp;"),
    "xml, a text as it is": ("a.xml", f"<x><![CDATA[{XML_SECTION}]]>&nbsp;</x>"),
    "xml, such a text in uWSGI's option": ("a.xml", "<emperor><![CDATA[/v]]></emperor>&nbsp;"),
    "xml, uWSGI's option": ("a.xml", "<uwsgi><emperor> /etc/vassals</emperor>"),
    "xml, another element": ("a.xml", "<uwsgi><emperor-cap><a>"),
    "ini, another section": ("a.ini", "[emperor2]\nx=y\n[-emperor]\nx=y\n[emperor:a]\nx=y"),
    "ini, a byte order mark": ("a.ini", "\ufeff; emperor\n[uwsgi]\nemperor = /etc/vassals\n"),
}


@pytest.mark.parametrize(("name", "text"), UNSIGNED.values(), ids=UNSIGNED)
def test_what_has_no_sign_of_a_section_is_left_to_uwsgi(name: str, text: str) -> None:
    assert settings.read(name, text.encode()) == ({}, None)


HEADERS = {
    "a comment": "[emperor] ; ours",
    "a comment at once": "[emperor]#ours",
    "capital letters": "[Emperor]",
    "blanks": "[ emperor ]",
    "a blank that is not seen": "[emperor\u200b]",
    "no bracket": "[emperor",
    "two brackets": "[[emperor]]",
    "quotes": '["emperor"]',
    "a NUL": "[emperor]\0",
}


@pytest.mark.parametrize("header", HEADERS.values(), ids=HEADERS)
def test_a_header_that_nearly_matches_bars_the_vassal(header: str) -> None:
    found, flaw = settings.read("a.ini", f"[uwsgi]\n{header}\nuser = nobody\n".encode())
    assert found == {}
    assert flaw is not None
    assert flaw.startswith("[emperor] line 2: [")
    assert flaw.endswith(
        "is not the name of this section; write [emperor] and nothing else on the line"
    )


def test_a_byte_order_mark_before_the_header_bars_the_vassal() -> None:
    _, flaw = settings.read("a.ini", "\ufeff[emperor]\nuser = nobody\n".encode())
    assert flaw == (
        "[emperor] line 1: \\ufeff[emperor] is not the name of this section; write [emperor] and"
        " nothing else on the line, without a byte order mark"
    )
    content = "\ufeff[uwsgi]\n[emperor]\nuser = nobody\n".encode()
    assert settings.read("a.ini", content) == ({"user": "nobody"}, None)


@pytest.mark.parametrize("before", ["\xa0", "\u200b", "\udca0", "\0"])
def test_a_character_that_is_not_seen_before_the_header_bars_the_vassal(before: str) -> None:
    text = f"[uwsgi]\n{before}[emperor]\nuser = nobody\n"
    _, flaw = settings.read("a.ini", text.encode("utf-8", "surrogateescape"))
    assert (flaw or "").startswith("[emperor] line 2: ")


TWO = {
    "yaml": ("a.yml", OURS + "uwsgi:\n  a: b\nemperor:\n  nofile: 9\n"),
    "yaml, an empty one behind it": ("a.yml", OURS + "emperor:\n"),
    "yaml, an empty one before it": ("a.yml", "emperor:\n" + OURS),
    "yaml, in quotes": ("a.yml", OURS + "'emperor': {}\n"),
    "yaml, in braces": ("a.yml", "{emperor: {user: nobody}, emperor: {}}"),
    "yaml, an alias": ("a.yml", "a: &a emperor\n" + OURS + "*a : {}\n"),
    "json": ("a.json", '{"emperor": {"user": "nobody"}, "emperor": {}}'),
    "json, no mapping behind it": ("a.json", '{"emperor": {"user": "nobody"}, "emperor": null}'),
    "json, an escape": ("a.json", '{"emperor": {"user": "nobody"}, "\\u0065mperor": {}}'),
    "xml": ("a.xml", "<x>" + "<emperor><user>nobody</user></emperor>" * 2 + "</x>"),
}


@pytest.mark.parametrize(("name", "text"), TWO.values(), ids=TWO)
def test_a_second_section_bars_the_vassal(name: str, text: str) -> None:
    reason = "[emperor] is there twice; write one section with all settings"
    assert settings.read(name, text.encode()) == ({}, reason)


ONE = {
    "ini, two that add up": (
        "a.ini",
        "[emperor]\nuser=nobody\n[uwsgi]\n[emperor]\ngroup=nogroup\n",
    ),
    "yaml, uWSGI's options": ("a.yml", OURS + "uwsgi:\n  emperor: /a\n  emperor: /b\n"),
    "yaml, another key twice": ("a.yml", "a: b\na: {}\n" + OURS),
    "json, uWSGI's options": (
        "a.json",
        '{"emperor": {"user": "nobody", "group": "nogroup"}, "x": {"emperor": 1, "emperor": 2}}',
    ),
    "xml, uWSGI's option": (
        "a.xml",
        "<x><emperor>/a</emperor><emperor><user>nobody</user><group>nogroup</group></emperor></x>",
    ),
}


@pytest.mark.parametrize(("name", "text"), ONE.values(), ids=ONE)
def test_what_is_twice_beside_a_section_bars_no_vassal(name: str, text: str) -> None:
    assert settings.read(name, text.encode()) == (USER, None)


NOT_THE_NAME = "is not the name of this section; write"
ELEMENT = f"{NOT_THE_NAME} <emperor> without a namespace"
JAPANESE = "<?xml version='1.0' encoding='shift_jis'?>"
UNREAD = {
    "yaml, capital letters": ("a.yml", "Emperor: {user: x}", f"Emperor {NOT_THE_NAME} emperor"),
    "json, capital letters": ("a.json", '{"EMPEROR": {}}', f"EMPEROR {NOT_THE_NAME} emperor"),
    "json, blanks": ("a.json", '{"emperor ": {}}', f"emperor  {NOT_THE_NAME} emperor"),
    "json, cut": (
        "a.json",
        '{"emperor": {',
        "cannot be read: Input data was truncated; correct the JSON",
    ),
    "json, a comment": (
        "a.json",
        '{\n"uwsgi": {}, // ours\n"emperor": {}}',
        (
            "cannot be read: line 2: JSON is malformed: object keys must be strings (byte 15);"
            " correct the JSON"
        ),
    ),
    "json, a name that nearly matches in what is none": (
        "a.json",
        '{"a//b": "/*", "x\\\\": 1,\n"Emperor ": {},}',
        (
            "cannot be read: line 2: JSON is malformed: trailing comma in object (byte 40);"
            " correct the JSON"
        ),
    ),
    "json, a comment in front of the colon": (
        "a.json",
        '{"emperor" /* ours */: {}}',
        ("cannot be read: line 1: JSON is malformed: expected ':' (byte 11); correct the JSON"),
    ),
    "json, not UTF-8": (
        "a.json",
        '{"emperor": {"user":\n"\udcff"}}',
        "cannot be read: line 2: it is not UTF-8; correct the JSON",
    ),
    "json, a byte order mark": (
        "a.json",
        '\ufeff{"emperor": {}}',
        "cannot be read: line 1: it has a byte order mark; correct the JSON",
    ),
    "xml, cut": (
        "a.xml",
        "<emperor>",
        "cannot be read: no element found: line 1, column 9; correct the XML, or save it as UTF-8",
    ),
    "xml, an encoding that libxml2 reads": (
        "a.xml",
        JAPANESE + "<x><emperor><user>x</user></emperor></x>",
        (
            "cannot be read: multi-byte encodings are not supported; correct the XML, or save it as"
            " UTF-8"
        ),
    ),
    "xml, beside a comment": (
        "a.xml",
        f"<x><![CDATA[<!--]]>{XML_SECTION}<!-- -->&nbsp;</x>",
        (
            "cannot be read: undefined entity: line 1, column 65; correct the XML, or save it as"
            " UTF-8"
        ),
    ),
    "xml, a namespace": (
        "a.xml",
        "<x xmlns='y'><emperor><user>x</user></emperor></x>",
        f"{{y}}emperor {ELEMENT}",
    ),
    "xml, capital letters": ("a.xml", "<Emperor><user>x</user></Emperor>", f"Emperor {ELEMENT}"),
}


@pytest.mark.parametrize(("name", "text", "reason"), UNREAD.values(), ids=UNREAD)
def test_other_formats_lose_no_section_either(name: str, text: str, reason: str) -> None:
    content = text.encode("utf-8", "surrogateescape")
    assert settings.read(name, content) == ({}, f"[emperor] {reason}")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        pytest.param("a.xml", "<x><emperor><user>nobody</user></emperor></x>", id="xml"),
        pytest.param("a.yml", "emperor: {user: nobody}\n", id="yaml"),
    ],
)
def test_utf_16_is_read_as_its_parser_reads_it(name: str, text: str) -> None:
    assert settings.read(name, text.encode("utf-16")) == ({"user": "nobody"}, None)


def test_utf_16_that_is_no_yaml_is_not_read_apart() -> None:
    found, flaw = settings.read("a.yml", (OURS + PERCENT).encode("utf-16"))
    assert found == {}
    assert flaw == f"[emperor] {UNSURE.format(1)}{SCANNED.format(5)}{QUOTE}"


KIB = 1 << 10
SLOW = {
    "ini, blanks behind a name": ("a.ini", "[emperor" + " " * (1000 * KIB) + "x", "None"),
    "ini, lines of blanks": ("a.ini", "emperor\n" + "\xa0[\n" * (200 * KIB), "None"),
    "yaml, blanks behind a name": ("a.yml", "{a: %d, emperor" + " " * (120 * KIB) + "x", "None"),
    "yaml, blanks in quotes": ("a.yml", PERCENT + "'emperor" + " " * (120 * KIB) + "x", "None"),
    "yaml, blanks before a name": ("a.yml", PERCENT + "\xa0" * (60 * KIB) + "emperor", "None"),
    "yaml, tags": ("a.yml", PERCENT + "!a " * (40 * KIB) + "emperor", "None"),
    "yaml, blanks before a brace": ("a.yml", "%d\n--- " + "\xa0" * (60 * KIB) + "emperor", "None"),
    "yaml, signs": ("a.yml", "{%d" + ",\xa0emperor:" * (9 * KIB), "do not show"),
    "json, members": ("a.json", '{"emperor": {}' + ', "a": {}' * (100 * KIB) + "}", "None"),
    "json, digits": ("a.json", '{"emperor": {}, "a": [' + "1," * (400 * KIB) + "1]}", "None"),
}


@pytest.mark.parametrize(("name", "text", "flaw"), SLOW.values(), ids=SLOW)
def test_the_search_for_a_section_takes_linear_time(name: str, text: str, flaw: str) -> None:
    before = time.process_time()
    found, said = settings.read(name, text.encode())
    assert time.process_time() - before < 0.5
    assert found == {}
    assert flaw in (said or "None")
