#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A random walk over the job scripts with an invariant checker.
usage: walk.py PORT LUA_DIR [STEPS] [SEED] [forget]
forget: now and then everything is lost; records are written anew from messages, by the workers that run something, and from
the shelf's queue."""
import random, sys, collections, time, pathlib
import redis
sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / 'integration'))
from harness import functions

PORT = int(sys.argv[1]); LUA = sys.argv[2]
STEPS = int(sys.argv[3]) if len(sys.argv) > 3 else 20000
SEED = int(sys.argv[4]) if len(sys.argv) > 4 else 1
R = redis.Redis(port=PORT, decode_responses=True)
rnd = random.Random(SEED)
EPOCH = ['e1', 'k']  # the store's, and what its callers know of its memory
T = '{t}:'
DAY = 86400000

def load():
    functions.load(R, pathlib.Path(LUA))

def call(script, *args):
    return functions.call(R, script, 1, T + 't', '%s:1:%s' % tuple(EPOCH), *[str(a) for a in args])

POOLS = [(3, (('a', 2), ('b', 2)), ''), (3, (('a', 2), ('b', 0)), 'balance=least_latency sync_share=0.8 per_key=1'),
         (0, (('a', 1), ('b', 2)), 'balance=weighted sync_share=0.5 per_key=2 rate=500,1000,3'), (1, (('b', 2),), 'balance=priority sync_share=0.8')]
def register(which=0):
    tc, inst, pol = POOLS[which]
    il = ''.join('%s\thttp://%s\t%d' % (n, n, c) + ('\t1\t3\teu\t' if pol else '') + '\n' for n, c in inst)
    call('register', '{"doc":%d}' % which, il, tc, 'pol', pol)
def pk(name):
    """Half of the jobs have a key, of three."""
    n = int(name[1:]); return ['pk', 'k%d' % (n % 3)] if n % 2 else []

FINAL = {'succeeded', 'failed', 'expired', 'canceled'}
trace = collections.deque(maxlen=200)
bad = collections.OrderedDict()

def complain(kind, name, detail):
    k = kind
    if k not in bad:
        bad[k] = (detail, [t for t in trace if name is None or name in t[1:]] or list(trace)[-8:])
        print('VIOLATION', kind, name, detail)
        for t in bad[k][1][-20:]:
            print('     ', t)

def check(step):
    t = R.hgetall(T + 't')
    recs = {}
    p = R.pipeline(transaction=False)
    keys = R.keys('{t}:j:*')
    for k in keys:
        p.hgetall(k); p.pttl(k)
    out = p.execute()
    for i, k in enumerate(keys):
        recs[k[6:]] = (out[2 * i], out[2 * i + 1])
    run = sum(r['st'] == 'running' for r, _ in recs.values())
    ind = sum(r['st'] == 'in_doubt' for r, _ in recs.values())
    g = lambda f: int(float(t.get(f, '0')))
    if g('run') != run: complain('run', None, (g('run'), run))
    if g('ind') != ind: complain('ind', None, (g('ind'), ind))
    slots = R.hgetall(T + 's')
    if g('c') != len(slots): complain('c', None, (g('c'), len(slots)))
    per = collections.Counter(v.split('\t')[2] for v in slots.values())
    if g('cs') != sum(v.split('\t')[3] == 's' for v in slots.values()): complain('cs', None, (g('cs'), slots))
    of_keys = collections.Counter(v.split('\t')[4] for v in slots.values() if v.split('\t')[4])
    if R.hgetall(T + 'p') != {k: str(n) for k, n in of_keys.items()}: complain('slots of keys', None, (R.hgetall(T + 'p'), of_keys))
    for f in t:
        if f.startswith('c:') and g(f) != per.get(f[2:], 0): complain('c:i', None, (f, t[f], per))
    bs = {k[6:]: R.hgetall(k) for k in R.keys('{t}:b:*')}
    sb = sum(int(b.get('q', '0')) for b in bs.values())
    if g('sb') != sb: complain('sb', None, (g('sb'), sb))
    u = dict(R.zrange(T + 'u', 0, -1, withscores=True))
    w = dict(R.zrange(T + 'w', 0, -1, withscores=True))
    h = dict(R.zrange(T + 'h', 0, -1, withscores=True))
    o = dict(R.zrange(T + 'o', 0, -1, withscores=True))
    for n, (r, ttl) in recs.items():
        st = r['st']; fin = st in FINAL; sh = r.get('sh') == '1'
        if not fin and n not in u: complain('unended not in u', n, r)
        if fin and n in u: complain('final in u', n, r)
        if not fin and ttl != -1: complain('unended with TTL', n, (ttl, r))
        if fin and not sh and ttl == -1: complain('final without TTL', n, r)
        if fin and sh and ttl != -1: complain('shelved final with TTL', n, r)
        if sh != (n in h): complain('sh vs h', n, (n in h, r))
        if sh and n not in bs: complain('shelved without b', n, r)
        is_lost = st == 'in_doubt' and r.get('er') == 'message_lost'
        if st == 'in_doubt' and not sh and not is_lost: complain('in doubt, not shelved', n, r)
        if sh and is_lost: complain('lost, and on the shelf', n, r)
        if st != 'in_doubt' and r.get('er') == 'message_lost': complain('lost, and not in doubt', n, r)
        if n in o and fin and not sh and n in bs: pass
        if n in o and n not in bs: complain('outbox entry without request', n, r)
        if n in w and st not in ('scheduled', 'waiting'): complain('w of other state', n, r)
        if st in ('scheduled', 'waiting') and float(r.get('due', 0)) > now() + 50 and n not in w:
            complain('delayed not in w', n, r)
        if r.get('k') and not fin and R.get(T + 'k:' + r['k']) != n: complain('unended does not hold its key', n, r)
        if r.get('k') and fin and not sh and R.get(T + 'k:' + r['k']) == n and R.pttl(T + 'k:' + r['k']) == -1:
            complain('final holds its key for ever', n, r)
        if fin and not sh and r.get('k') and sent.get(n, 0) > 0 and st != 'expired_' and R.get(T + 'k:' + r['k']) is None \
           and n not in key_gone_ok and not (EPOCH[1] == 'l' and n in twins): complain('sent attempt, key was freed', n, (sent[n], r))
        if fin and not sh and r.get('k') and sent.get(n, 0) == 0 and n not in offered and R.get(T + 'k:' + r['k']) == n and st in ('failed','expired','canceled') and n not in resolved:
            complain('no sent attempt, key kept', n, r)
        ans = R.get(T + 'r:' + n)
        if fin and not sh and ans is not None and R.pttl(T + 'r:' + n) == -1: complain('result without TTL', n, r)
        if st in ('succeeded', 'failed') and n in truth and n not in resolved and (ans or '') != truth[n] and st == 'succeeded':
            complain('stale answer', n, (ans, truth[n], r))
        if int(r.get('n', '0')) < top.get(n, 0): complain('n went back', n, r)
        top[n] = int(r.get('n', '0'))
        if n in was_final and was_final[n] != st and not (was_final[n] == 'failed'): complain('left a final state', n, (was_final[n], r))
        if fin: was_final[n] = st
        elif n in was_final: was_final.pop(n)
        if n in promised and st in ('expired', 'canceled') and n not in canceled and r.get('er') != 'duplicate_of':
            complain('a 202 was given, and it was ended', n, r)
        # somebody will wake it: model's messages, hand, outbox, shelf
        if not fin and not sh and n not in o and msgs[n] == 0 and hand[n] == 0 and st != 'accepted' and not is_lost and n not in dropped \
           and r.get('oo') != '1':
            complain('nobody will wake it', n, r)
    check_lines(recs, bs)
    for n in h:
        if n not in recs or recs[n][0].get('sh') != '1': complain('h without record', n, recs.get(n))
    for n in bs:
        if n not in h and n not in o and not (n in recs and recs[n][0].get('oo') == '1'): complain('b leaks', n, recs.get(n))
    for n in w:
        if n not in recs: complain('w leaks', n, None)
    x = dict(R.zrange(T + 'x', 0, -1, withscores=True))
    for n in x:
        r = recs[n][0] if n in recs else {'st': 'missing'}
        if r['st'] in FINAL or r['st'] in ('running', 'in_doubt', 'missing'): complain('waits for its key, and how', n, (x[n], r))
        if x[n] == float('inf') and r.get('oo') != '1': complain('waits for its turn, and has it', n, r)
    for n, (r, _) in recs.items():
        if r.get('oo') == '1' and x.get(n) != float('inf'): complain('out of turn, and before others', n, r)

def check_lines(recs, bs):
    """Ordering keys: all that is unended has a place, at most one of a key runs, and the first in line waits for nobody."""
    lines = {k[6:]: R.zrange(k, 0, -1) for k in R.keys('{t}:q:*')}
    if set(R.zrange(T + 'qk', 0, -1)) != set(lines): complain('qk', None, (R.zrange(T + 'qk', 0, -1), lines))
    for ok, line in lines.items():
        for n in line:
            if n not in recs or recs[n][0]['st'] in FINAL or recs[n][0].get('ok') != ok: complain('it has ended, and a place', n, (ok, recs.get(n)))
        running = [n for n in line if n in recs and recs[n][0]['st'] == 'running']
        if len(running) > 1: complain('two of one key run', running[0], (ok, line))
        if running and running[0] != line[0]: complain('it runs out of turn', running[0], (ok, line))
        if line[0] in recs and recs[line[0]][0].get('oo') == '1': complain('the first in line waits for its turn', line[0], (ok, line))
    n_out = sum(r.get('oo') == '1' for r, _ in recs.values())
    if R.zcount(T + 'x', '+inf', '+inf') != n_out: complain('counted out of turn', None, (R.zrange(T + 'x', 0, -1, withscores=True), n_out))
    for n, (r, _) in recs.items():
        ok = r.get('ok', '')
        if ok and r['st'] not in FINAL and r['st'] != 'accepted' and n not in lines.get(ok, []): complain('unended without a place', n, r)
        if r.get('oo') == '1' and (r['st'] not in ('queued', 'waiting') or r.get('sh') == '1' or n not in bs or not ok):
            complain('out of turn, and how', n, r)

ordering = collections.defaultdict(str)      # ordering keys, by job
took = collections.defaultdict(list)         # of each: its jobs in the order in which they took their places; not the delayed ones
def takes_place(n):
    ok = ordering[n]
    if ok and n not in took[ok] and not (n in info and info[n][0]): took[ok].append(n)

def in_sequence(n):
    """It was given an attempt: all that took their places before have ended."""
    line = took[ordering[n]]
    if not ordering[n] or n not in line or EPOCH[1] == 'l': return
    before = [(m, R.hget(T + 'j:' + m, 'st')) for m in line[:line.index(n)]]
    wrong = [(m, st) for m, st in before if st is not None and st not in FINAL]
    if wrong: complain('begun before its turn', n, (ordering[n], wrong, line))

def goes_to_the_end(n):
    """A dead letter is run again."""
    line = took[ordering[n]]
    if n in line: line.remove(n)
    takes_place(n)

def now():
    s, us = R.time(); return s * 1000 + us // 1000

msgs = collections.Counter()   # messages in the broker, by job
flags = collections.defaultdict(list)  # of each of them: attempted, perhaps; the epoch it carries
twins = set()                  # jobs that ever had two messages: after a loss of memory the other one may run
info = {}                      # what accept wrote, by job
copies = set()                 # jobs with a copy in the shelf's queue
in_air = set()                 # policy hold: a request may have left, and nobody knows its outcome
promised = set(); canceled = set()  # a 202 was given, without a deadline; somebody canceled it
hand = collections.Counter()   # deliveries in a worker's hand
sent = collections.Counter()   # attempts whose request left
attempted = collections.defaultdict(set)  # their numbers, but for those that never arrived (policy ask)
top = {}; was_final = {}; truth = {}; resolved = set(); key_gone_ok = set(); offered = set()
clock = [0]
names = []; deliveries = []  # dicts
workers = ['w%d' % i for i in range(3)]; nworker = [3]
keys = ['key%d' % i for i in range(4)]
seq = [0]
policy = {}
cursor = ['']

def twice(f):
    """Sends it, and sometimes sends the same again: it must give the same answer."""
    a = f()
    if rnd.random() < .5:
        b = f()
        return a, b
    return a, None

def log(*a): trace.append(a)

def fresh(prefix='j'):
    seq[0] += 1; return '%s%06d' % (prefix, seq[0])

def s_accept():
    name = fresh(); key = rnd.choice(keys + ['', '', ''])
    mode = rnd.choice(['wait', 'async']); fp = rnd.choice(['f1', 'f1', 'f1', 'f2'])
    dl = rnd.choice([0, 0, 30, 5000]) if mode == 'async' else rnd.choice([40, 5000])
    own = dl if mode == 'async' else 0
    due = rnd.choice([0, 0, 30]) if mode == 'async' else 0
    lease = rnd.choice([25, 30000])
    waiter = 'ch1|%016x' % rnd.getrandbits(64) if mode == 'wait' else ''
    ok = rnd.choice(['', '', 'o1', 'o2', 'o3'])
    f = lambda: call('accept', name, key, fp, 'sync' if mode == 'wait' else 'normal', mode, dl, own, due, waiter, lease, 40, 'm', 'POST', 'p', '/', *(['ok', ok] if ok else []))
    a, b = twice(f)
    log('accept', name, key, mode, a, b)
    if b and (a[0] != b[0]) and not (a[0] == 'new' and b[0] == 'undone') and a[0] not in ('busy','full','shed'): complain('accept not idempotent', name, (a, b))
    if a[0] == 'new':
        names.append(name); policy[name] = rnd.choice(['retry', 'hold', 'ask']); at = int(a[2]); ordering[name] = ok
        info[name] = (at + due if due else 0, at + own if own else 0, at + dl if mode == 'wait' else 0, key, fp,
                      'sync' if mode == 'wait' else 'normal', at, 'ch1' if mode == 'wait' else '')
        fate = rnd.random()
        if fate < .8:
            put(name, False, EPOCH[0])
            if rnd.random() < .8:
                if mode == 'async' and own == 0: promised.add(name)
                a, b = twice(lambda: call('mark', 1000, name)); log('mark', name, a, b)
                takes_place(name)
            else:
                log('published unmarked', name)
        else:
            log('lost publish', name)
            if rnd.random() < .7: undo(name)
        if mode == 'wait': waiters.append((name, waiter))
    elif a[0] == 'replay' and mode == 'async':
        if a[3] == 'accepted': complain('a repeat was told of what is not accepted yet', a[1], a)
        if a[3] in ('queued', 'scheduled', 'waiting', 'running') and info[a[1]][1] == 0: promised.add(a[1])
    elif a[0] == 'replay' and mode == 'wait':
        waiters.append((a[1], waiter))
waiters = []

def undo(name, *life):
    a, b = twice(lambda: call('undo', name, DAY, *life)); log('undo', name, a, b)
    if b and a[0] != b[0]: complain('undo not idempotent', name, (a, b))
    if a[0] == 'undone': withdrawn.add(name)

first = {}        # of jobs whose message went before their record: what their claims say
unfollowed = {}   # of them, those that their ingress has not asked for yet: how it will
withdrawn = set() # whoever sent them was told that they will not run

def s_first():
    """A plain job of a brisk tenant: its record follows its message."""
    name = fresh(); mode = rnd.choice(['wait', 'async']); at = now()
    dl = rnd.choice([40, 5000]) if mode == 'wait' else 0
    waiter = 'ch1|%016x' % rnd.getrandbits(64) if mode == 'wait' else ''
    cl = 'sync' if mode == 'wait' else 'normal'
    names.append(name); policy[name] = rnd.choice(['retry', 'hold', 'ask'])
    info[name] = (0, 0, at + dl if dl else 0, '', '', cl, at, 'ch1' if waiter else '')
    first[name] = '%s 1 %d %d %s %s\nm\nPOST\np\n/\n' % (EPOCH[0], at, at + dl if dl else 0, cl, waiter or '-')
    fate = rnd.random()
    if fate < .9: put(name, False, EPOCH[0])
    log('first', name, mode, fate < .9)
    if fate < .75: unfollowed[name] = (mode, dl, waiter)
    elif fate < .85 or fate > .9: undo(name, EPOCH[0], 1, at)  # not confirmed, and stored or not
    if mode == 'wait': waiters.append((name, waiter))

def s_follow():
    """Its message is confirmed."""
    if not unfollowed: return
    name = rnd.choice(list(unfollowed)); mode, dl, waiter = unfollowed.pop(name)
    life = 'follows ' + ' '.join(first[name].split()[:3])
    bound = rnd.choice([40, 40, 1])
    f = lambda: call('accept', name, '', '', 'sync' if mode == 'wait' else 'normal', mode, dl, 0, 0, waiter, life, bound, 'm', 'POST', 'p', '/')
    a, b = twice(f); log('follow', name, bound, a, b)
    if b and a[0] != b[0] and (a[0], b[0]) not in (('full', 'undone'), ('shed', 'undone')): complain('follow not idempotent', name, (a, b))
    if a[0] in ('full', 'shed', 'undone'): withdrawn.add(name)
    if a[0] == 'new' and mode == 'async' and a[6] not in FINAL: promised.add(name)

def s_undo():
    live = [n for n in names if R.hget(T + 'j:' + n, 'st') == 'accepted']
    if live: undo(rnd.choice(live))

def s_deliver():
    live = [n for n, c in msgs.items() if c > 0]
    if not live: return
    n = rnd.choice(live); msgs[n] -= 1; hand[n] += 1
    flag, epoch = flags[n].pop(rnd.randrange(len(flags[n])))
    deliveries.append({'flag': flag, 'epoch': epoch, 'name': n, 'token': '%016x' % rnd.getrandbits(64), 'worker': rnd.choice(workers), 'step': 'claim', 'running': False})

def put(name, flag, epoch):
    if msgs[name] + hand[name] > 0: twins.add(name)
    msgs[name] += 1; flags[name].append((flag, epoch))

def ack(d): hand[d['name']] -= 1; deliveries.remove(d)
def requeue(d):
    ack(d); put(d['name'], True, d['epoch'])
    if d['running'] and policy.get(d['name']) == 'hold': in_air.add(d['name'])
def replace(d):
    flag = d['flag'] or d.get('n', 0) > 0; ack(d)
    put(d['name'], flag, d['epoch'])
    if rnd.random() < .1: put(d['name'], flag, d['epoch'])  # unknown publish, done again

SHELF = [100000]
def shelve(d, n, tok, reason, kind):
    name = d['name']
    copies.add(name)
    key = info[name][3] if name in info else ''
    f = lambda: call('shelve', name, n, tok, reason, 'head', 'body' * rnd.randint(1, 3), SHELF[0], kind, 60000, 'cl', 'normal', 'm', 'POST', 'p', '/', 'ok', ordering[name],
                     *(['k', key, 'fp', info[name][4]] if key else []))
    a, b = twice(f); log('shelve', name, n, reason, kind, a, b)
    if a[0] == 'shelved':
        ack(d) if rnd.random() < .9 else None
    elif a[0] == 'full': replace(d)

def s_step():
    if not deliveries: return
    d = rnd.choice(deliveries); name = d['name']
    if d['worker'] not in workers:  # its worker died: the broker gives it to another; sometimes it lives on, late
        if d['running'] and rnd.random() < .5:
            late.append(dict(d))
        if d['running'] and d.get('left'): pass
        requeue(d); log('requeued, worker died', name); return
    if d['step'] == 'claim':
        if R.exists(T + 'j:' + name): takes_place(name)
        f = lambda: call('claim', name, d['token'], d['worker'], 'cw', 40, policy.get(name, 'hold'), 3, 20, 60000, 60000, 60000, 60000,
                         *(['lt', first[name]] if name in first else []), 'rg', 'eu', *pk(name), *MOODS)
        before = R.hgetall(T + 't')
        a, b = twice(f); log('claim', name, d['token'][:4], a, b)
        if b and a[0] == 'go' and b != a and b[0] != 'go': complain('claim not idempotent', name, (a, b))
        v = a[0]
        if v == 'go' and not b: within_limits(before, name)
        if v == 'ack': ack(d)
        elif v == 'go':
            d.update(step='run', running=True, n=a[1], counted=a[5], i=a[2], se=a[4])
            if name in in_air and name not in twins: complain('a silent repeat', name, a)
            if name in withdrawn: complain('withdrawn, and it runs', name, a)
            in_sequence(name)
            offered.add(name)
        elif v in ('park',): replace(d)
        elif v == 'order': d.update(step='line')
        elif v == 'wait':
            if rnd.random() < .5: replace(d)
        elif v == 'hold': d.update(step='shelve', args=(a[1], a[2], a[3], 'in_doubt'))
        elif v == 'ask': d.update(step='ask', args=(a[1], a[2], a[5]))
        elif v == 'used_up': d.update(step='shelve', args=(a[1], a[2], 'attempts_used_up', 'failed'))
        elif v == 'missing' and d['epoch'] != EPOCH[0]: rebuild(d)
        elif v == 'missing': d.update(step='shelve', args=(-1, '', 'record_missing', 'in_doubt'))
    elif d['step'] == 'ask': asked(d)
    elif d['step'] == 'line': wait_turn(d)
    elif d['step'] == 'shelve':
        n, tok, reason, kind = d['args']
        shelve(d, n, tok, reason, kind)
        if d in deliveries: d['step'] = 'claim'
    elif d['step'] == 'run':
        complete(d, rnd.choice(['end', 'end', 'end_empty', 'retry', 'elsewhere', 'unsent', 'doubt', 'hold', 'dead', 'unsent_end']))

def within_limits(before, name):
    """What a claim has just granted had room: of its tenant, its instance and its key. (Limits may have been lowered before.)"""
    t = R.hgetall(T + 't'); i = R.hget(T + 'j:' + name, 'i')
    g = lambda f: int(float(t.get(f, '0')))
    if t.get('c') == before.get('c') and t.get('c:' + i) == before.get('c:' + i): return  # taken along
    limit = {l.split('\t')[0]: int(l.split('\t')[2]) for l in t['il'].splitlines()}[i]
    if g('tc') and g('c') > g('tc'): complain('more than the tenant takes', name, (t, before))
    if limit and g('c:' + i) > limit: complain('more than the instance takes', name, (t, before))
    most = [w[8:] for w in t.get('pol', '').split() if w.startswith('per_key=')]
    if most and pk(name) and int(R.hget(T + 'p', pk(name)[1]) or 0) > int(most[0]): complain('more than the key takes', name, (t, before))

def s_pool():
    """Limits, balance and policy change under way."""
    which = rnd.choice([0, 1, 2, 3]); register(which); log('pool', '', which)
def wait_turn(d):
    name = d['name']; copies.add(name)
    a, b = twice(lambda: call('wait_turn', name, 'head', 'body', SHELF[0])); log('wait_turn', name, a, b)
    if b and a[0] != b[0]: complain('wait_turn not idempotent', name, (a, b))
    if a[0] == 'full': replace(d)
    elif a[0] == 'changed': d['step'] = 'claim'
    elif rnd.random() < .9: ack(d)
    else: d['step'] = 'claim'

def asked(d):
    name = d['name']; n, tok, question = d['args']
    word = rnd.choice(['known', 'unknown', 'unknown', 'unknown', 'pending', 'silent', 'unclear'])
    ans = '200\r\n%d' % rnd.getrandbits(20) if word == 'known' else ''
    f = lambda: call('asked', name, n, tok, question, d['token'], word, '200' if ans else '404', '', ans, 3, rnd.choice([0, 10]),
                     60000, 60000, 60000, 60000)
    a, b = twice(f); log('asked', name, n, word, a, b)
    if b and a != b: complain('asked not idempotent', name, (a, b))
    if a[0] == 'ended': truth[name] = ans; attempted[name].add(int(n)); ack(d)
    elif a[0] == 'waiting': replace(d)
    elif a[0] in ('unclear', 'silent'): d.update(step='shelve', args=(n, tok, 'asked_' + a[0], 'in_doubt'))
    else:
        if a[0] == 'again': attempted[name].discard(int(n))
        d.update(step='claim')
    sent[name] = len(attempted[name])

def rebuild(d):
    name = d['name']; due, own, dl, key, fp, cl, at, ch = info[name]
    was = d['flag'] or d.get('n', 0) > 0
    f = lambda: call('rebuild', name, '1' if was else '0', policy[name], 20, 1000, 60000, due, own, dl, key, fp, cl, at, ch, 'm', 'POST', 'ok', ordering[name])
    a, b = twice(f); log('rebuild', name, was, a, b)
    if was: offered.add(name)  # perhaps
    if a[0] == 'hold': d.update(step='shelve', args=(-1, '', 'memory_lost', 'in_doubt'))

def say_again(d):
    name = d['name']; due, own, dl, key, fp, cl, at, ch = info[name]
    f = lambda: call('reregister', name, d['n'], d['token'], d['worker'], d['i'], int(d['se']) - 40, d['se'], d['counted'], key, fp,
                     cl, at, ch, 1000, own, 'm', 'POST', 'ok', ordering[name], *pk(name))
    a, b = twice(f); log('reregister', name, d['n'], a, b)

def put_back(n):
    if n not in copies: return
    key = info[n][3]
    a, b = twice(lambda: call('shelve', n, -1, '', 'memory_lost', 'head', 'body', 0, 'in_doubt', 0, 'cl', 'normal', 'ok', ordering[n], *(['k', key, 'fp', info[n][4]] if key else [])))
    log('put back', n, a, b)

def s_shelf_queue():
    """The leader's sweep over the shelf's queue."""
    for n in sorted(copies):
        st, sh, db = R.hmget(T + 'j:' + n, 'st', 'sh', 'db')
        if st is None: put_back(n) if EPOCH[1] == 'l' and n in names else None
        elif sh != '1' and db != '1' and st not in ('running', 'queued', 'scheduled', 'in_doubt'): copies.discard(n)

def s_forget():
    """Everything is lost. The workers that run something say so at once, or when they have an answer."""
    if rnd.random() > FORGETS: return
    took.clear()
    outbox = set(R.zrange(T + 'o', 0, -1))
    R.flushall(); load()
    EPOCH[0] = 'e%d' % (int(EPOCH[0][1:]) + 1); EPOCH[1] = 'l'
    register(); cursor[0] = ''
    log('everything is lost', '', EPOCH[0])
    for x in (top, was_final, truth, told_queued, unfollowed, withdrawn): x.clear()
    promised.difference_update([n for n in promised if info[n][5] == 'sync'])  # what a repeat was told is lost
    for n in list(names):
        if n not in copies and msgs[n] + hand[n] == 0: names.remove(n); promised.discard(n)
        offered.add(n)
    # Only its entry in the outbox said what it waits for: another message of it knows nothing of the person's word.
    twins.update(outbox)
    for d in deliveries:
        if d['running'] and d['worker'] in workers and rnd.random() < .8: say_again(d)
FORGETS = .7 if sys.argv[5:] == ['forget'] else 0

MOODS = ('breaker', '0.9 5 200 20 2', 'adaptive', '1 10')
def what_it_felt(verdict):
    cools = verdict == 'elsewhere' or rnd.random() < .1
    return ('call', rnd.choice(['good', 'bad', 'none']), 'load', rnd.choice(['good', 'busy', 'none']), 'took', rnd.randint(1, 50),
            *(['cool', rnd.randint(1, 30), 'cools', rnd.choice(['instance', 'instance', 'tenant'])] if cools else []),
            *(['attempts', 3, 'uncounted', 6] if verdict == 'elsewhere' else []), *MOODS)

late = []
def complete(d, verdict, is_late=False):
    name = d['name']
    if verdict in ('doubt', 'hold'): verdict = {'retry': 'doubt', 'ask': 'ask'}.get(policy.get(name), 'hold')
    if verdict != 'unsent' and verdict != 'unsent_end' and not d.get('left'):
        d['left'] = True; attempted[name].add(int(d['n'])); sent[name] = len(attempted[name])
    if verdict in ('hold', 'dead'): copies.add(name)
    has_none = verdict in ('unsent', 'doubt', 'unsent_end', 'end_empty') or (verdict == 'ask' and rnd.random() < .5)
    ans = '' if has_none else '200\r\n' + '%d' % rnd.getrandbits(20)
    state = 'succeeded' if verdict in ('end', 'end_empty') else 'failed'
    word = 'end' if verdict in ('end_empty', 'unsent_end') else verdict
    felt = what_it_felt(verdict)
    f = lambda: call('complete', name, d['n'], d['token'], word, state, '200' if ans or verdict == 'end_empty' else '', 'err', ans, 3,
                     '0' if verdict in ('doubt', 'hold', 'ask') else '1', rnd.choice([0, 15]), 60000, 60000, 60000, 60000, 'head', 'body', SHELF[0], '0', '1' if verdict == 'unsent_end' else '0', *felt)
    a, b = twice(f); log('complete' + (' late' if is_late else ''), name, verdict, a, b)
    if b and a[0] != b[0] and a[0] != 'full': complain('complete not idempotent', name, (a, b))
    if a[0] == 'instead':
        complete(d, 'dead' if a[1] == 'attempts_used_up' else 'end', is_late); return
    if a[0] == 'missing' and (is_late or rnd.random() < .9):
        say_again(d); complete(d, verdict, is_late); return
    if verdict in ('hold', 'doubt') and policy.get(name) == 'hold': in_air.add(name)
    if a[0] in ('ended', 'waiting', 'outbox'): in_air.discard(name)
    if a[0] == 'ended':
        truth[name] = ans
        if verdict == 'unsent_end': offered.discard(name) if sent[name] == 0 and d['n'] == 1 and EPOCH[1] == 'k' else None
    if is_late and a[0] == 'waiting': put(name, True, d['epoch'])
    if is_late: return
    if a[0] == 'waiting' and verdict == 'elsewhere' and int(a[2]) == 0:  # at once, with the delivery in hand
        d.update(step='claim', running=False, token='%016x' % rnd.getrandbits(64)); d.pop('left')
    elif a[0] == 'waiting': replace(d)
    elif a[0] in ('late', 'missing'): d.update(step='claim', running=False)
    elif a[0] == 'full': replace(d)
    else: ack(d)

def s_late():
    if not late: return
    d = late.pop(rnd.randrange(len(late)))
    complete(d, rnd.choice(['end', 'retry', 'elsewhere', 'dead', 'unsent', 'doubt', 'hold']), True)

def s_die():
    if rnd.random() > .2: return
    w = rnd.choice(workers); workers.remove(w); R.zadd(T + 'd', {w: now()})
    nworker[0] += 1; workers.append('w%d' % nworker[0])
    log('die', w)

def s_expire():
    if not waiters: return
    n, w = waiters.pop(rnd.randrange(len(waiters)))
    if rnd.random() < .3:
        a, b = twice(lambda: call('give_202', n, w)); log('give_202', n, a, b)
    else:
        a, b = twice(lambda: call('expire', n, w, rnd.choice(['deadline', 'hangup']), DAY)); log('expire', n, a, b)
        if b and a[0] != b[0]: complain('expire not idempotent', n, (a, b))

def s_cancel():
    if not names or rnd.random() < .5: return
    n = rnd.choice(names[-60:])
    a, b = twice(lambda: call('cancel', n, 60000, 60000)); canceled.update([n] if a[0] == 'canceled' else []); log('cancel', n, a, b)
    if b and a[0] != b[0]: complain('cancel not idempotent', n, (a, b))

def s_resolve():
    h = R.zrange(T + 'h', 0, -1)
    pool = h or names[-10:]
    if not pool: return
    n = rnd.choice(pool); to = rnd.choice(['retry', 'retry', 'succeeded', 'failed'])
    before = R.hmget(T + 'j:' + n, 'st', 'sh')
    a, b = twice(lambda: call('resolve', n, to, 'note', 60000, 60000, 60000)); log('resolve', n, to, before, a, b)
    if b and a[0] != b[0]: complain('resolve not idempotent', n, (a, b))
    after = R.hmget(T + 'j:' + n, 'st', 'sh')
    if a[0] == 'queued' and after[1] == '1': complain('resolve said queued and did nothing', n, (before, a, after))
    if a[0] == 'settled': resolved.add(n)
    if a[0] == 'queued' and before == ['failed', '1']: goes_to_the_end(n)
    if a[0] == 'queued': told_queued[n] = True; in_air.discard(n)
told_queued = {}

def s_drop():
    pool = R.zrange(T + 'h', 0, -1) or names[-10:]
    if not pool or rnd.random() < .5: return
    n = rnd.choice(pool); before = R.hgetall(T + 'j:' + n)
    a, b = twice(lambda: call('drop', n, 60000, 60000, 60000)); log('drop', n, a, b)
    if b and a != b: complain('drop not idempotent', n, (a, b))
    after = R.hgetall(T + 'j:' + n)
    if a[0] == 'dropped' and (after.get('st') != 'failed' or after.get('sh') == '1'): complain('drop did not drop', n, (before, a, after))
    if a[0] != 'dropped' and after != before: complain('a refused drop changed something', n, (before, a, after))

def s_redrive():
    """A page of the shelf, from the start: each that fits is queued or refused for its key."""
    if rnd.random() < .6: return
    state = rnd.choice(['failed', 'failed', 'in_doubt']); most = rnd.choice([1, 3, 100])
    shelf = [n for n in R.zrange(T + 'h', 0, -1) if R.hget(T + 'j:' + n, 'st') == state]
    counted = call('dead', 'count', most, 300, '', '', '', state, '', '', '', '', '')
    a = call('dead', 'redrive', most, 300, '', '', '', state, '', '', '', '', 'note')
    refused = {row[0] for row in a[8:]}
    log('redrive', state, most, a, *shelf[:most])
    if counted[5] != a[5] or a[5] != min(most, len(shelf)) or a[5] != a[6] + a[7]: complain('redrive counts', None, (counted, a, shelf))
    for n in shelf[:most]:
        st, sh = R.hmget(T + 'j:' + n, 'st', 'sh')
        if n in refused and (st != state or sh != '1'): complain('a refused redrive changed something', n, (st, sh))
        if n not in refused and (st != 'queued' or R.zscore(T + 'o', n) is None): complain('redriven, and not in the outbox', n, (st, sh))
        if n not in refused: told_queued[n] = True; in_air.discard(n)
        if n not in refused and state == 'failed': goes_to_the_end(n)

def s_outbox():
    for n, sc in R.zrange(T + 'o', 0, 5, withscores=True):
        h = R.hget(T + 'b:' + n, 'h')
        if h is None:
            complain('outbox: no request to publish', n, R.hgetall(T + 'j:' + n)); continue
        put(n, R.hget(T + 'b:' + n, 'fired') is None and n[0] != 'f', EPOCH[0])
        log('outbox published', n)
        if rnd.random() < .7:
            a, b = twice(lambda: call('outbox_done', n, int(sc))); log('outbox_done', n, a, b)

def s_fire():
    if rnd.random() < .5: return
    name = fresh('f'); new = str(seq[0]); old = cursor[0]
    ok = rnd.choice(['', 'o1'])
    f = lambda: call('fire', 's', old, new, name, 'allow', 0, 1000, 'head', 'body', rnd.choice([0, 30]), 1000, 'm', 'POST', 'p', '/', 'ok', ok)
    a, b = twice(f); log('fire', name, a, b)
    if a[0] == 'fired': ordering[name] = ok; takes_place(name)
    if a[0] == 'fired': cursor[0] = new; names.append(name); policy[name] = rnd.choice(['retry', 'hold', 'ask']); info[name] = (0, 0, 0, '', '', 'normal', now(), '')

LOST_AFTER = 30
def sweep(is_empty):
    return call('sweep', LOST_AFTER, '1' if is_empty else '0', 60000, 60000, 60000, 60000)

def s_sweep():
    # Whether the queues are empty is the dispatcher's to know: a wrong word loses nothing, for what turns up is run.
    is_empty = rnd.random() < .5
    a, b = twice(lambda: sweep(is_empty)); log('sweep', '', a, b)

dropped = set()  # a message of it was lost
def s_lose():
    live = [n for n, c in msgs.items() if c > 0]
    if not live or rnd.random() < .5: return
    n = rnd.choice(live); msgs[n] -= 1; flags[n].pop(); dropped.add(n); log('message lost', n)

def all_is_known():
    """In the end whatever has no message, no delivery and no outbox entry is final, on the shelf, or said to be lost."""
    for w in workers: R.zadd(T + 'd', {w: now()})
    for n in R.zrange(T + 'u', 0, -1):  # as if the hour had passed that a full shelf parks for
        if float(R.hget(T + 'j:' + n, 'sn') or 0) > now(): R.hset(T + 'j:' + n, 'sn', now())
        if R.hget(T + 'j:' + n, 'st') != 'accepted': R.zadd(T + 'u', {n: 1})  # or its accept lease
    end = time.monotonic() + 20
    while True:
        rest = [n for n in R.zrange(T + 'u', 0, -1) if msgs[n] == 0 and hand[n] == 0 and R.zscore(T + 'o', n) is None
                and R.hget(T + 'j:' + n, 'oo') != '1' and R.hget(T + 'j:' + n, 'st') not in ('in_doubt', 'accepted')]
        if not rest: return
        if time.monotonic() > end:
            for n in rest[:3]: complain('a lost message was never noticed', n, R.hgetall(T + 'j:' + n))
            return
        sweep(False); sweep(True); time.sleep(.01)

def s_health():
    call('health', 'a', rnd.choice('01'), 'b', '1')

def s_shelf_bound():
    SHELF[0] = rnd.choice([100000, 100000, 10])

def s_old_shelve():
    """A shelve whose answer was lost, sent again much later."""
    if not names: return
    n = rnd.choice(names[-60:]); r = R.hgetall(T + 'j:' + n)
    if not r or r.get('st') != 'queued' or r.get('db') == '1' or not told_queued.pop(n, None): return
    a = call('shelve', n, r['n'], r.get('tk', ''), 'worker_lost', 'head', 'body', 100000, 'in_doubt', 60000, 'cl', 'normal')
    log('shelve again, after retry', n, a)
    if R.hget(T + 'j:' + n, 'st') != 'queued': complain('shelve sent again undid the operator', n, a)

STEPS_ = [(s_accept, 8), (s_first, 4), (s_follow, 4), (s_deliver, 14), (s_step, 40), (s_late, 3), (s_die, 2), (s_expire, 5), (s_cancel, 3), (s_resolve, 4), (s_drop, 2), (s_redrive, 2),
          (s_outbox, 4), (s_fire, 2), (s_sweep, 3), (s_lose, 1), (s_health, 1), (s_pool, 1), (s_shelf_bound, 1), (s_undo, 1), (s_old_shelve, 2),
          (s_shelf_queue, 1), (s_forget, 1)]
R.flushall(); load(); register()
fs = [f for f, w in STEPS_ for _ in range(w)]
for i in range(STEPS):
    try:
        rnd.choice(fs)()
    except redis.ResponseError as e:
        complain('script error', None, str(e)); 
    if i % 7 == 0: check(i)
    if i % 500 == 499:  # forget what is long over, so that the check stays small
        for n in list(names[:-200]):
            st = R.hmget(T + 'j:' + n, 'st', 'sh')
            if st[0] in FINAL and st[1] != '1' and R.zscore(T + 'o', n) is None and not hand[n]:
                R.delete(T + 'j:' + n, T + 'r:' + n); msgs[n] = 0; flags[n].clear(); copies.discard(n)
                for k in keys:
                    if R.get(T + 'k:' + k) == n: R.delete(T + 'k:' + k)
                names.remove(n); waiters[:] = [x for x in waiters if x[0] != n]
                for m in (top, was_final, truth, told_queued): m.pop(n, None)
                dropped.discard(n)
check(STEPS)
all_is_known()
check(STEPS)
print('%d steps, seed %d: %s' % (STEPS, SEED, 'ok' if not bad else '%d kinds of violation: %s' % (len(bad), list(bad))))
sys.exit(1 if bad else 0)
