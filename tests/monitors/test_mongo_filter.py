"""Filters as MongoDB's shells take them: what they mean, and what is said of those that fail."""

import json
from datetime import UTC, datetime
from math import inf
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
    "{enabled:1,}": {"enabled": 1},
    '{"enabled": 1}': {"enabled": 1},
    "{'enabled': true}": {"enabled": True},
    "{a:false,b:null,c:undefined}": {"a": False, "b": None, "c": None},
    "{a_1:1,$or:[{b:2},{$and:[]}]}": {"a_1": 1, "$or": [{"b": 2}, {"$and": []}]},
    "{'a.b':{$gte:1,$lt:2}}": {"a.b": {"$gte": 1, "$lt": 2}},
    "{größe: 1, 1: 2}": {"größe": 1, "1": 2},
    "{a:-1,b:+1.5,c:.5,d:1.,e:0x1F}": {"a": -1, "b": 1.5, "c": 0.5, "d": 1.0, "e": 31},
    "{a:1e3}": {"a": 1000.0},
    "{a:Infinity,b:-Infinity}": {"a": inf, "b": -inf},
    "{a:9223372036854775807,b:9223372036854775808}": {"a": 2**63 - 1, "b": 2.0**63},
    r"{a:'it\'s',b:'\u00e9\x41\u{1F600}\n',c:'\q'}": {"a": "it's", "b": "éA😀\n", "c": "q"},
    "{a:\"'\",b:'\"'}": {"a": "'", "b": '"'},
    "{a:'},{'}": {"a": "},{"},
    "{a:['x',1,[2],{b:3},]}": {"a": ["x", 1, [2], {"b": 3}]},
    "{a:/^x\\/[/]$/i}": {"a": Regex("^x\\/[/]$", "i")},
    "{a:{$not:/b/}}": {"a": {"$not": Regex("b")}},
    "{a:RegExp('x','im')}": {"a": Regex("x", "im")},
    "{a:{$regex:'x',$options:'i',$ne:'xy'}}": {"a": {"$regex": "x", "$options": "i", "$ne": "xy"}},
    "{a:{$regex:/x/,$in:['x']}}": {"a": {"$regex": Regex("x"), "$in": ["x"]}},
    "{a:ISODate('2024-02-29T12:30:00Z')}": {"a": DAY},
    "{a:ISODate('2024-02-29')}": {"a": datetime(2024, 2, 29, tzinfo=UTC)},
    "{a:new Date('2024-02-29T14:30:00+02:00')}": {"a": DAY},
    "{a:Date(1709209800000)}": {"a": DAY},
    f"{{a:ObjectId('{OID}')}}": {"a": ObjectId(OID)},
    f"{{a:new ObjectId(\"{OID}\")}}": {"a": ObjectId(OID)},
    "{a:NumberLong('5'),b:NumberLong(5),c:Long(5)}": {"a": Int64(5), "b": Int64(5), "c": Int64(5)},
    "{a:NumberInt('5'),b:Int32(5),c:Double(5)}": {"a": 5, "b": 5, "c": 5.0},
    "{a:NumberDecimal('1.10')}": {"a": Decimal128("1.10")},
    "{a:Timestamp(7,2),b:Timestamp({t:7,i:2})}": {"a": Timestamp(7, 2), "b": Timestamp(7, 2)},
    "{a:UUID('12345678-1234-5678-1234-567812345678')}": {
        "a": Binary.from_uuid(UUID("12345678-1234-5678-1234-567812345678"))
    },
    "{a:MinKey,b:MaxKey()}": {"a": MinKey(), "b": MaxKey()},
    f'{{"_id":{{"$oid":"{OID}"}}}}': {"_id": ObjectId(OID)},
    '{"a":{"$date":"2024-02-29T12:30:00Z"}}': {"a": DAY},
    '{"a":{"$date":{"$numberLong":"1709209800000"}}}': {"a": DAY},
    '{"a":{"$numberInt":"1"},"b":{"$numberLong":"2"}}': {"a": 1, "b": Int64(2)},
    '{"a":{"$gte":{"$numberDecimal":"1"}}}': {"a": {"$gte": Decimal128("1")}},
    '{"a":{"$regularExpression":{"pattern":"x","options":"i"}}}': {"a": Regex("x", "i")},
    "{a:1 /* one */, // two\n b:2}": {"a": 1, "b": 2},
}  # fmt: skip

REFUSED = {
    "": "a value was expected at the end",
    "1": "a filter is an object like {enabled: 1}",
    "[]": "a filter is an object like {enabled: 1}",
    "ISODate('2024-02-29')": "a filter is an object like {enabled: 1}",
    "{": "a key was expected at the end",
    "{a": "a colon was expected after 'a' at the end",
    "{a:": "a value was expected at the end",
    "{a:1": "a comma or } was expected at the end",
    "{a:1 b:2}": "a comma or } was expected at character 6",
    "{a:[1 2]}": "a comma or ] was expected at character 7",
    "{a:1}}": "nothing more was expected at character 6",
    "{a:1,a:2}": "the key 'a' is there twice at character 6",
    "{a:yes}": "a value was expected (texts need quotes) at character 4",
    "{a:'x}": "a string has no end at character 4",
    "{a:/x}": "a regular expression has no end at character 4",
    "{a:/x/q}": "this is not a regular expression, at character 4",
    "{a:ISODate()}": "this is not a value for ISODate(), at character 4",
    "{a:ISODate('x')}": "this is not a value for ISODate(), at character 4",
    "{a:ObjectId('1')}": "this is not a value for ObjectId(), at character 4",
    "{a:NumberLong(1.5)}": "this is not a value for NumberLong(), at character 4",
    "{a:NumberInt(5000000000)}": "this is not a value for NumberInt(), at character 4",
    "{a:NumberDecimal('x')}": "this is not a value for NumberDecimal(), at character 4",
    "{a:Timestamp({})}": "this is not a value for Timestamp(), at character 4",
    "{a:system('x')}": "system() is not known here, at character 4",
    "{a:new 1}": "the name of a type was expected after new at character 8",
    "{a:function(){return 1}}": "function() is not known here, at character 4",
    '{a:{"$oid":"x"}}': "this is not an Extended JSON value, at character 4",
    '{a:{"$date":[]}}': "this is not an Extended JSON value, at character 4",
    r"{a:'\ud800'}": "this is not a text, at character 4",
    r"{a:'\u{110000}'}": "this is not a text, at character 4",
    r"{'\0':1}": "it cannot be sent to a server "
    "(Invalid document: Key names must not contain the NULL byte)",
    "{a:1a}": "a value was expected at character 4",
    "{a:" * 200: "it is nested deeper than 90 levels at character 274",
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
