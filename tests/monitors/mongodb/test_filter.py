"""Filters of MongoDB: what they mean, and what is said of those that fail."""

import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import bson
import pytest
from bson import Binary, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp
from emperord.monitors.mongodb.filters import FilterError, parse
from hypothesis import given
from hypothesis import strategies as st

DAY = datetime(2024, 2, 29, 12, 30, tzinfo=UTC)
OID = "65e0a1b2c3d4e5f601234567"

READ: dict[str, Any] = {
    "{}": {},
    " { } ": {},
    "{enabled:1}": {"enabled": 1},
    '{"enabled": 1}': {"enabled": 1},
    "{'enabled': true}": {"enabled": True},
    "{a:false,b:null,true:1}": {"a": False, "b": None, "true": 1},
    "{a_1:1,$or:[{b:2},{$and:[]}]}": {"a_1": 1, "$or": [{"b": 2}, {"$and": []}]},
    "{'a.b':{$gte:1,$lt:2}}": {"a.b": {"$gte": 1, "$lt": 2}},
    "{größe: 1, '1' : 2}": {"größe": 1, "1": 2},
    "{a:-1,b:1.5,c:1e3}": {"a": -1, "b": 1.5, "c": 1000.0},
    "{a:9223372036854775807}": {"a": 2**63 - 1},
    r"{a:'it\'s',b:'\u00e9\n',c:'\ud83d\ude00'}": {"a": "it's", "b": "é\n", "c": "😀"},
    "{a:\"'\",b:'\"'}": {"a": "'", "b": '"'},
    "{a:'},{'}": {"a": "},{"},
    "{a:['x',1,[2],{b:3}]}": {"a": ["x", 1, [2], {"b": 3}]},
    "{a:{$regex:'x',$options:'i',$ne:'xy'}}": {"a": {"$regex": "x", "$options": "i", "$ne": "xy"}},
    f"{{_id:{{$oid:'{OID}'}}}}": {"_id": ObjectId(OID)},
    '{"a":{"$date":"2024-02-29T12:30:00Z"}}': {"a": DAY},
    '{"a":{"$date":{"$numberLong":"1709209800000"}}}': {"a": DAY},
    '{"a":{"$numberInt":"1"},"b":{"$numberLong":"2"}}': {"a": 1, "b": Int64(2)},
    '{"a":{"$gte":{"$numberDecimal":"1"}}}': {"a": {"$gte": Decimal128("1")}},
    '{"a":{"$regularExpression":{"pattern":"x","options":"i"}}}': {"a": Regex("x", "i")},
    "{a:{$timestamp:{t:7,i:2}}}": {"a": Timestamp(7, 2)},
    "{a:{$uuid:'12345678-1234-5678-1234-567812345678'}}": {
        "a": Binary.from_uuid(UUID("12345678-1234-5678-1234-567812345678"))
    },
    "{a:{$minKey:1},b:{$maxKey:1}}": {"a": MinKey(), "b": MaxKey()},
}  # fmt: skip

HINT = "a value was expected (texts need quotes, other types are written in Extended JSON)"
REFUSED = {
    "": "a value was expected at the end",
    "1": "a filter is an object like {enabled: 1}",
    "[]": "a filter is an object like {enabled: 1}",
    "{": "a key was expected at the end",
    "{a": f"{HINT} at character 2",
    "{a:": "a value was expected at the end",
    "{a:1": "a comma or a closing bracket was expected at the end",
    "{a:1 b:2}": "a comma or a closing bracket was expected at character 6",
    "{a:[1 2]}": "a comma or a closing bracket was expected at character 7",
    "{'a' 1}": "a colon was expected at character 6",
    "{a:1}}": "nothing more was expected at character 6",
    "{a:1,a:2}": "the key 'a' is there twice",
    "{a:yes}": f"{HINT} at character 4",
    "{a:'x}": "a string has no end at character 4",
    "{a:/x/}": f"{HINT} at character 4",
    "{a:ISODate()}": f"{HINT} at character 4",
    "{a:NaN}": f"{HINT} at character 4",
    "{a:-Infinity}": f"{HINT} at character 4",
    "{a:function(){return 1}}": f"{HINT} at character 4",
    '{a:{"$oid":"x"}}': "the value of $oid is not what Extended JSON has there",
    '{a:{"$date":[]}}': "the value of $date is not what Extended JSON has there",
    '{a:{"$numberDecimal":"x"}}': "the value of $numberDecimal is not what Extended JSON has there",
    r"{'\u0000':1}": "it cannot be sent to a server "
    "(Invalid document: Key names must not contain the NULL byte)",
    "{a:9223372036854775808}": "it cannot be sent to a server "
    "(MongoDB can only handle up to 8-byte ints)",
    "{a:" * 200: "it is nested deeper than 90 levels at character 271",
}  # fmt: skip


@pytest.mark.parametrize(("text", "meaning"), READ.items(), ids=READ)
def test_read(text: str, meaning: dict[str, Any]) -> None:
    found = parse(text)
    assert found == meaning
    # A server gets the very same.
    assert bson.encode(found) == bson.encode(meaning)


@pytest.mark.parametrize(
    ("text", "message"), REFUSED.items(), ids=[text[:30] or "empty" for text in REFUSED]
)
def test_refused(text: str, message: str) -> None:
    with pytest.raises(FilterError) as caught:
        parse(text)
    said, _, _ = str(caught.value).partition(", before ")
    assert said == message


@pytest.mark.parametrize("text", [r"{a:'\ud800'}", r"{a:'\q'}", "{a:" + "1" * 5000 + "}"])
def test_refused_in_the_words_of_a_library(text: str) -> None:
    with pytest.raises(FilterError):
        parse(text)


def test_an_error_shows_the_place() -> None:
    with pytest.raises(FilterError, match=r"at character 4, before 'yes, b: \{c: '$"):
        parse("{a:yes, b: {c: 1}}")


@given(st.text(alphabet="{}[]()/:,'\"\\$ab1.x-eu \n") | st.text())
def test_nothing_upsets_it(text: str) -> None:
    try:
        found = parse("{" + text)
    except FilterError:
        return
    assert isinstance(found, dict)


KEYS = st.text().filter(lambda key: "\0" not in key and not key.startswith("$"))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(KEYS, VALUES, max_size=4))
def test_json_means_what_it_means(meaning: dict[str, Any]) -> None:
    assert parse(json.dumps(meaning)) == meaning
