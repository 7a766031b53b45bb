import json, time, threading, random
import pytest
from harness import wait_until
from harness.load import config_of, together, start
from test_tenants import Registry, instance

@pytest.fixture(scope="module")
def stack(make_module_stack):
    stack = make_module_stack(lambda stack: config_of(stack, {"filed": {}, "busy": {}}), dispatchers=2)
    return stack
@pytest.fixture(scope="module")
def registry(stack): return Registry(stack)
@pytest.fixture(scope="module")
def second(stack): return Registry(stack, "dispatcher-2")

def test_names(stack, registry):
    registry.put("pool", {"instances": [instance(stack)]}, status=201)
    U = stack.tenant.url
    for n in ["..", ".", "%2e%2e", "a%2Fb", "a%00b", "%C3%A9", "x"*200, "x"*128, "a%0Ab", "a%20b", "a%09b", "%", "%zz", "a;b", "a?b", "%22", "%5C", "instances", "drain", "a|b", "-", "a=b", "%7F"]:
        a = registry.ask("PUT", f"/v1/tenants/pool/instances/{n}", json={"url": U})
        print(repr(n), a.status_code, a.text[:150])
    for d in [{"url": U, "ttl_s": v} for v in (0, -1, 1e300, "5", None, 0.0001, 0.001, 1e9, 1e10, 1e12, 1e18, True, [])] + [{"url": 'http://x"},{"'}, {"url": "http://a/\tb"}, {"url": "http://a/\nb"}, {"url": "http://a b"}, {"url": "http://a", "region": "x\ty"}, {"url": "http://a", "region": "x\ny"},{"url":"http://a","region":"a b"}, {"url": "http://a", "weight": -1}, {"url": "http://a", "weight": 1e12},{"url": "http://a","concurrency":0}, {"url":"http://a","rate":{"limit":0}}, {"url":"http://a","rate":{"limit":1e300}}, {"url":"http://a","name":"z"}, {"url":"http://a","name":5}, [], None, "x", {"url": "http://a\u0000b"}, {"url":"http://a", "url2":1}, {"url":"http://user:pw@h/"}]:
        a = registry.ask("PUT", f"/v1/tenants/pool/instances/i", json=d)
        print(d, a.status_code, a.text[:200])
    for body in [b'{"url":"http://a","url":"http://b"}', b'{"url":', b'\xff\xfe', b'{"url": "\\ud800"}', b'&a [*a]', b'a: &x [1]\nb: *x', b'['*100000, b'{"a":'*5000, b'', b' ', b'{"url":"' + b'x'*3000000 + b'"}']:
        a = registry.ask("PUT", f"/v1/tenants/pool/instances/i", data=body)
        print(body[:40], a.status_code, a.text[:200])
    for t in ["..", "instances", "restore", "registry", "sluice", "%2e", "a%2fb", "x"*64, "x"*63, "x"*100, "A", "a.b", "a{b}", "quota:x", "quota", "a%20b", "*", ""]:
        a = registry.ask("PUT", f"/v1/tenants/{t}", json={"instances": [instance(stack)]})
        print(repr(t), a.status_code, a.text[:120])
        if a.status_code in (200, 201): print(" del", registry.ask("DELETE", f"/v1/tenants/{t}").status_code)
    for note in ["a\nb", "\x00", "\x7f", "é"*600, "é\u2028", "x"*1000, "x"*1001, "", 5, [], {"a": 1}, "\u0085", "\t"]:
        a = registry.ask("POST", "/v1/tenants/pool/pause", json={"note": note})
        print(repr(note)[:40], a.status_code, a.text[:150])
    for raw in [b'[]', b'{"note":"a","x":1}', b'"x"', b'null', b'{', b'note: x', b'{"note": "\xff"}']:
        a = registry.ask("POST", "/v1/tenants/pool/pause", data=raw); print(raw, a.status_code, a.text[:150])
    print(registry.ask("GET", "/v1/tenants/pool").text[:1500])
    print(stack.redis.hkeys("{sluice}:put"))
    for m, p in [("DELETE", "/v1/tenants/pool/"), ("PUT", "/v1/tenants/pool/instances/"), ("PUT", "/v1/tenants/pool/instances"), ("POST", "/v1/tenants/pool/pause/"), ("POST", "/v1/tenants/pool/instances/sample-1/drain/"), ("POST", "/v1/tenants//pause"), ("DELETE","/v1/tenants/pool/instances/../../filed"), ("POST", "/v1/registry/restore/"), ("POST", "/v1/registry/restore?dry_run=1")]:
        import http.client
        c = http.client.HTTPConnection("127.0.0.1", int(stack["dispatcher"].url.rsplit(":",1)[1])); c.request(m, p, body=b'{}' if m!="DELETE" else None); r = c.getresponse(); print(m, p, r.status, r.read()[:150])

def test_many(stack, registry):
    t=time.time()
    doc={"instances":[{"name": f"i{n}", "url": f"http://127.0.0.1:1/{n}"} for n in range(10000)]}
    a = registry.ask("PUT", "/v1/tenants/many", json=doc); print(a.status_code, a.text[:300], time.time()-t)
    t=time.time(); a=registry.ask("GET", "/v1/tenants/filed"); print(a.status_code, time.time()-t)
    t=time.time(); a=stack.call("POST", "/call/filed/x", data=b"x"); print(a.status_code, time.time()-t)
    t=time.time(); a=stack.call("POST", "/call/many/x", data=b"x"); print(a.status_code, a.text[:100], time.time()-t)
    print(registry.ask("DELETE", "/v1/tenants/many").status_code)

def test_race(stack, registry, second):
    for n in range(25):
        registry.ask("PUT", "/v1/tenants/race", json={"instances": [instance(stack)]})
        f = [start(registry.ask, "DELETE", "/v1/tenants/race"), start(second.ask, "PUT", "/v1/tenants/race/instances/ghost", json={"url": "http://127.0.0.1:1"}), start(second.ask, "POST", "/v1/tenants/race/pause", json={"note": "n"})]
        s=[x.result(20).status_code for x in f]
        left=[k for k in stack.redis.hkeys("{sluice}:put") if "race" in k]
        print(s, left)
