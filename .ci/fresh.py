#!/usr/bin/env python3
"""Do the notebooks' stored outputs belong to the code and the results that are here? Proved by hashes, without running anything.

    .ci/fresh.py                     check; exit 1 naming each stale notebook, why, and the command that mends it
    .ci/fresh.py --run [NAMES]       run the stale notebooks (or NAMES), store their outputs, note what they were made from
    .ci/fresh.py --run --flags slow  run cells flagged so as well; otherwise they keep their stored outputs
    .ci/fresh.py --run --keep        flagged cells keep their outputs although their code is another: say so after looking
    .ci/fresh.py --run --workers 2   as many notebooks at a time
    .ci/fresh.py --test              plant stale outputs in a copy: each must be found, harmless changes must not

`nbs/.fresh.json` holds for each notebook what its outputs were made from: its own code, what it reaches of the library (by name,
through what that reaches), the files of results it opened, and the outputs themselves. Comments, docstrings and spacing don't
count. It is written by `--run` alone, which really ran the notebook.
"""
import argparse, ast, hashlib, json, os, re, shutil, subprocess, sys, tempfile, textwrap
from concurrent.futures import ProcessPoolExecutor
from configparser import ConfigParser
from functools import lru_cache
from pathlib import Path

root = Path(__file__).resolve().parent.parent
cfg = ConfigParser(delimiters=['=']); cfg.read(root/'settings.ini'); cfg = cfg['DEFAULT']
lib, flags = cfg['lib_path'], cfg['tst_flags'].split()
commands = {c.split('=')[0]: c.split('=')[1].split(':')[0].split('.')[1] for c in cfg['console_scripts'].split()}    # of which module
re_directive = re.compile(r'^\s*#\s*\|\s*(.*?)\s*$', re.M)
words = re.compile(r'\w+')

def sha(s): return hashlib.sha256(s if isinstance(s, bytes) else s.encode()).hexdigest()[:12]
def text(o): return o if isinstance(o, str) else ''.join(o)
def stamps(r): return json.loads(f.read_text()) if (f := r/'nbs/.fresh.json').exists() else {}

def save(r, res):
    f = r/'nbs/.fresh.json'
    tmp = f.with_name('.fresh.json.tmp')
    tmp.write_text(json.dumps(res, indent=1, sort_keys=True) + '\n'); os.replace(tmp, f)

# --- code, without what does not matter

docs = ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Module

def dump(n):
    "A node as text, the same on every Python: no positions, empty fields, contexts or docstrings"
    if isinstance(n, list): return '[' + ','.join(map(dump, n)) + ']'
    if not isinstance(n, ast.AST): return repr(n)
    skip = ('ctx', 'kind', 'type_comment', 'type_ignores')
    d = {k:v for k,v in ast.iter_fields(n) if k not in skip and v is not None and v != []}
    b = d.get('body')
    if isinstance(n, docs) and b and isinstance(b[0], ast.Expr) and isinstance(getattr(b[0].value, 'value', None), str): d['body'] = b[1:]
    if isinstance(n, ast.JoinedStr): d['values'] = [o for o in n.values if getattr(o, 'value', None) != '']    # Python 3.12 has empty ones
    return f"{type(n).__name__}({','.join(f'{k}={dump(v)}' for k,v in d.items())})"

def module_of(o):
    "Module of the library that `from ... import` names ('' for the package itself); None for others"
    m = lib + '.'*bool(o.module) + (o.module or '') if o.level else o.module or ''
    return m[len(lib)+1:] if m == lib or m.startswith(lib + '.') else None

def scope(tree):
    "What imports bind: names to (module, name), where name None is the module itself; and modules whose names all come in"
    bound, stars = {}, set()
    for o in ast.walk(tree):
        if isinstance(o, ast.Import):
            for n in o.names:
                if n.name.startswith(lib + '.') and n.asname: bound[n.asname] = n.name[len(lib)+1:], None
        elif isinstance(o, ast.ImportFrom) and (m := module_of(o)) is not None:
            for n in o.names:
                if n.name == '*': stars.add(m)
                else: bound[n.asname or n.name] = (n.name, None) if not m else (m, n.name)
    return bound, stars

def names(n):
    """Identifiers in a node: those that stand alone; attributes as (what they are of, name); words of programs in strings; and all
    that may name a method: attributes, arguments, strings of one word for getattr"""
    free, attrs, loose, more = set(), set(), set(), set()
    for o in ast.walk(n):
        if isinstance(o, ast.Name): free.add(o.id)
        elif isinstance(o, ast.Attribute):
            more.add(o.attr); v = o.value
            attrs.add((v.id if isinstance(v, ast.Name) else v.attr if isinstance(v, ast.Attribute) else '', o.attr))
        elif isinstance(o, (ast.arg, ast.keyword)) and o.arg: more.add(o.arg)
        elif isinstance(o, ast.Constant) and isinstance(o.value, str):
            if lib in o.value or any(c in o.value for c in commands): loose.update(words.findall(o.value))
            elif re.fullmatch(r'[\w.]+', o.value): more.update(o.value.split('.'))
    return free, attrs, loose, more | free

def imported(tree):
    "Modules of the library that a piece of code imports"
    bound, stars = scope(tree)
    direct = {n.name[len(lib)+1:] for o in ast.walk(tree) if isinstance(o, ast.Import) for n in o.names if n.name.startswith(lib + '.')}
    return {m for m,_ in bound.values()} | stars | direct

def parse(src):
    "The tree of a cell; None if it has magics or is no Python"
    try: return ast.parse(src)
    except SyntaxError: return None

# --- the library: definitions, and what each of them names

def method(n):
    "Is it an assignment to a class, `Class.name = ...`?"
    return isinstance(n, ast.Assign) and all(isinstance(t, ast.Attribute) and isinstance(t.value, ast.Name) for t in n.targets)

def owner(n):
    "The classes that a `@patch` function or an assigned method goes to; None for anything else"
    if method(n): return {t.value.id for t in n.targets}
    if not isinstance(n, ast.FunctionDef) or not any('patch' in names(d)[3] for d in n.decorator_list): return
    a = n.args.args[0].annotation if n.args.args else None
    return {o.id for o in ast.walk(a) if isinstance(o, ast.Name)} if a is not None else None

@lru_cache
def library(r):
    """Modules: what each imports, its scope, its definitions as (names, classes they are patched to, `names` and scope of it, text), and
    {name: definition}"""
    res = {}
    for f in sorted((r/lib).glob('*.py')):
        if f.stem.startswith('_'): continue
        tree, units = ast.parse(f.read_text(encoding='utf-8')), []
        for n in tree.body:
            if isinstance(n, (ast.Import, ast.ImportFrom)) or isinstance(n, ast.Expr) and isinstance(n.value, ast.Constant): continue
            if isinstance(n, docs): own = [n.name]
            elif method(n): own = [n.targets[0].attr]
            else: own = [o.id for o in ast.walk(n) if isinstance(o, ast.Name) and isinstance(o.ctx, ast.Store)]
            if '__all__' in own: continue
            unit = own, owner(n), (names(n), scope(n)), dump(n)
            k = n.targets[0].value.id if isinstance(n, ast.Assign) and isinstance(n.targets[0], ast.Subscript) and isinstance(n.targets[0].value, ast.Name) else ''
            i = next((i for i,u in enumerate(units) if k in u[0]), None)                     # ATTACKS['x'] = ... belongs to ATTACKS
            if i is None: units.append(unit)
            else:
                (o, c, (u, (b, st)), t), (_, _, (v, (b1, st1)), t1) = units[i], unit
                units[i] = o, c, (tuple(x|y for x,y in zip(u, v)), ({**b, **b1}, st|st1)), t + t1
        top = scope(ast.Module([o for o in tree.body if isinstance(o, (ast.Import, ast.ImportFrom))], []))
        defs = {k:i for i,(own, cls, _, _) in enumerate(units) if cls is None for k in own}
        res[f.stem] = imported(tree), top, units, defs
    return res

asked = re.compile(r'__\w+__|_repr_\w+_|(before|after)_\w+|forward|backward|\w*hook\w*')     # methods that Python, IPython, fastai and PyTorch call

def find(L, m, name, seen=()):
    "(module, number) of what `name` is in module m: defined there, or imported there"
    if m not in L or m in seen: return
    _, (bound, stars), _, defs = L[m]
    if name in defs: return m, defs[name]
    if name in bound: return find(L, bound[name][0], bound[name][1], (*seen, m)) if bound[name][1] else None
    return next((u for s in stars if (u := find(L, s, name, (*seen, m)))), None)

def refs(L, m, used, where):
    "Definitions that code of module m (None: a notebook) comes to by name; `where`: what its own imports bind"
    (free, attrs, loose, _), (bound, stars) = used, where
    out = [find(L, *bound[k]) for k in bound if bound[k][1]]
    for k in free: out += [find(L, m, k)] + [find(L, s, k) for s in stars]
    for of,k in attrs:                                                               # t.train, csg_fastai.train.train
        mod = bound.get(of) or (L[m][1][0].get(of) if m in L else None) or ((of, None) if of in L else None)
        if mod and mod[1] is None: out.append(find(L, mod[0], k))
    return {o for o in out if o} | {(n, L[n][3][k]) for n in L for k in loose if k in L[n][3]}

def reached(r, mods, used, where):
    "{module: hash of its definitions that a notebook can come to}, from what it names"
    L, mods, got = library(r), set(mods), {}
    classes = {k for m in L for k in L[m][3]}
    todo, more = refs(L, None, used, where), set(used[3]) | used[2]
    have = set()                                                                      # names of definitions that were reached
    while True:
        mods |= {o for m in mods if m in L for o in L[m][0]}
        for m in mods & set(L):
            for i,(own, cls, _, _) in enumerate(L[m][2]):
                if (m, i) in got: continue
                if cls is None: hit = not own                                         # runs at import
                elif cls & have or not cls & classes: hit = not cls & classes or more & set(own) or any(map(asked.fullmatch, own))
                else: hit = False
                if hit: todo.add((m, i))
        todo -= set(got)
        if not todo: break
        for m,i in todo:
            own, _, (use, wh), txt = L[m][2][i]
            got[m, i] = txt; have |= set(own); more |= use[3] | use[2]; mods |= {m, *(o for o,_ in wh[0].values()), *wh[1]}
        todo = set().union(*(refs(L, m, *L[m][2][i][2]) for m,i in todo))
    return {m: sha('\n'.join(got[k] for k in sorted(got) if k[0] == m)) for m in sorted({k[0] for k in got})}

# --- notebooks

def notebooks(r):
    found = ((p.relative_to(r/'nbs').as_posix(), p) for p in sorted((r/'nbs').rglob('*.ipynb')))
    return {n:p for n,p in found if not any(o[0] in '._' for o in n.split('/'))}

def read(p): return json.loads(p.read_text(encoding='utf-8'))
def code_cells(nb): return [c for c in nb['cells'] if c['cell_type'] == 'code']

def flagged(c, extra=()):
    "Is the cell one that nbdev_test leaves out?"
    ds = [o.split() for o in re_directive.findall(text(c['source'])) if o]
    return 'nbdev_export()' in text(c['source']) or any(d[0] in set(flags)-set(extra) or [d[0].rstrip(':'), *d[1:2]] == ['eval', 'false'] for d in ds)

def code_of(src):
    t = parse(src)
    return dump(t) if t is not None else '\n'.join(l.strip() for l in src.split('\n') if l.strip() and not l.lstrip().startswith('#'))

def outs(c):
    "Stored outputs of a cell, as far as they are content"
    return [{k:v for k,v in o.items() if k not in ('execution_count', 'metadata')} for o in c.get('outputs', [])]

def state(r, p, keep=lambda c: True):
    "What a notebook's outputs are made from, as it is now"
    cells = code_cells(read(p))
    plain, rest = [c for c in cells if not flagged(c)], [c for c in cells if flagged(c) and outs(c)]
    src = [text(c['source']) for c in plain]
    trees = [t for t in map(parse, src) if t is not None]
    loose = [w for s in src if parse(s) is None for w in words.findall(s)]                    # cells with magics
    found = [names(t) for t in trees]
    used = tuple(set().union(*(o[i] for o in found)) for i in range(4))
    used[2].update(loose)
    bound, stars = ({k:v for t in trees for k,v in scope(t)[0].items()}, {o for t in trees for o in scope(t)[1]})
    mods = {m for t in trees for m in imported(t)} | {m for w,m in zip(loose, loose[1:]) if w == lib} | {m for c,m in commands.items() if c in used[2]}
    return dict(code=sha('\n'.join(map(code_of, src))), library=reached(r, mods, used, (bound, stars)),
                outputs=sha(json.dumps([outs(c) for c in cells], sort_keys=True)),
                flagged={sha(code_of(text(c['source']))): sha(json.dumps(outs(c), sort_keys=True)) for c in rest})

def why(r, p, old):
    "Why the stored outputs are stale; empty if they are fresh"
    if old is None: return ['it was never run by this program']
    now, res = state(r, p), []
    if now['code'] != old['code']: res.append('its code changed')
    mods = [m for m in sorted({*now['library'], *old['library']}) if now['library'].get(m) != old['library'].get(m)]
    if mods: res.append('what it uses changed in ' + ', '.join(f'{lib}/{m}.py' for m in mods))
    data = [f for f,h in sorted(old['data'].items()) if not (r/f).exists() or sha((r/f).read_bytes()) != h]
    if data: res.append('results changed: ' + ', '.join(data))
    other = [c for c in now['flagged'] if c not in old['flagged']]
    if other: res.append(f'{len(other)} flagged cell{"s"*(len(other)>1)} with outputs of other code')
    elif now['outputs'] != old['outputs']: res.append('its stored outputs are not those of its last run')
    return res

# --- running

watch = '''
import os, sys
def _note(event, args, root=os.environ['FRESH_ROOT'], out=os.environ['FRESH_LOG']):
    if event != 'open' or not isinstance(args[0], (str, bytes)): return
    f = os.path.abspath(os.fsdecode(args[0]))
    if f.startswith(root) and not (args[1] and set(args[1]) & set('wax+')):
        fd = os.open(out, os.O_WRONLY|os.O_APPEND|os.O_CREAT)
        os.write(fd, (f + chr(10)).encode()); os.close(fd)
sys.addaudithook(_note)
'''

def data_files(r, p, log):
    "Results that a run opened from Python, and those it named that are opened by other means (safetensors)"
    d = r/lib/'results'
    got = {Path(o) for o in log.read_text().splitlines()} if log.exists() else set()
    src = '\n'.join(text(c['source']) for c in code_cells(read(p)) if not flagged(c))
    parts = {s for s in re.findall(r'[\'"]([^\'"\n{}]{3,})', src)}
    got |= {f for f in d.rglob('*.safetensors') if f.stem in parts or any(s.endswith('-') and f.stem.startswith(s) for s in parts)}
    return {f.relative_to(r).as_posix(): sha(f.read_bytes()) for f in sorted(got) if d in f.parents and f.is_file()}

def lines_of(c):
    "A cell's outputs as lines of text, without pictures"
    t = [text(o.get('text', '')) or text(next((o['data'][k] for k in ('text/markdown', 'text/plain') if k in o.get('data', {})), '')) for o in outs(c)]
    return '\n'.join(t).split('\n')

def execute(r, name, extra, timeout):
    "Run a notebook and store its outputs; what they were made from, and what changed in them"
    import nbformat
    from nbclient import NotebookClient
    p = notebooks(r)[name]
    nb, was, kept, used = nbformat.read(p, 4), code_cells(read(p)), {}, state(r, p)['library']
    for i,c in enumerate(nb.cells):
        if c.cell_type == 'code' and flagged(c, extra): kept[i] = c.source, c.outputs; c.source = ''
    with tempfile.TemporaryDirectory() as tmp:
        tmp = Path(tmp); log = tmp/'opened'; (tmp/'sitecustomize.py').write_text(watch)
        path = os.pathsep.join(o for o in (str(tmp), str(r), os.environ.get('PYTHONPATH')) if o)
        env = dict(PYTHONPATH=path, FRESH_ROOT=str(r/lib/'results'), FRESH_LOG=str(log), PYTHONHASHSEED='0', OMP_NUM_THREADS='1')
        meta = dict(kernelspec=dict(display_name='python3', language='python', name='python3'))
        nb.metadata = nbformat.from_dict(meta)
        client = NotebookClient(nb, timeout=timeout, kernel_name='python3', coalesce_streams=True,
                                resources=dict(metadata=dict(path=str(p.parent))))
        client.execute(env={**os.environ, **env})
        for i,(s,o) in kept.items(): nb.cells[i].source, nb.cells[i].outputs = s, o
        now, ran = read(p), json.loads(nbformat.writes(nb))                      # edited while it ran? text and directives may have been
        if [code_of(text(c['source'])) for c in code_cells(now)] != [code_of(text(c['source'])) for c in code_cells(ran)]:
            raise RuntimeError(f'{p.name} was edited while it ran: run it again')
        # what goes to stderr names folders of this machine: a warning that is meant to be read is printed by its cell
        for c,d in zip(code_cells(now), code_cells(ran)): c['outputs'] = [o for o in d['outputs'] if o.get('name') != 'stderr']
        now['metadata'] = meta
        p.write_text(json.dumps(now, sort_keys=True, indent=1, ensure_ascii=False) + '\n', encoding='utf-8')
        subprocess.run([sys.executable, '-c', 'from nbdev.clean import nbdev_clean; nbdev_clean()', '--fname', str(p)], cwd=r, check=True)
        notes = dict(data=data_files(r, p, log), library=used)
    diff = []
    for i,(a,b) in enumerate(zip(was, code_cells(read(p)))):
        la, lb = lines_of(a), lines_of(b)
        if la != lb: diff.append((i, *next(((x,y) for x,y in zip(la + [''], lb + ['']) if x != y), ('', ''))))
    return notes, diff

def run_one(r, name, extra, timeout):
    "(name, what it used, what changed in it, error)"
    try: return name, *execute(r, name, extra, timeout), None
    except Exception as e:
        s = re.sub(r'\x1b\[[0-9;]*m', '', str(e)).strip().split('\n')
        return name, None, None, f'{type(e).__name__}: ' + '\n'.join(s[-12:])

def run(r, which, extra, keep, workers, timeout):
    old, failed = stamps(r), []
    stale = {n:why(r, p, old.get(n)) for n,p in notebooks(r).items()}
    which = which or [n for n in stale if stale[n]]
    for n in list(which):
        cells = {sha(code_of(text(c['source']))) for c in code_cells(read(notebooks(r)[n])) if flagged(c, extra) and outs(c)}
        new = cells - set(old[n]['flagged']) if n in old else set()
        if new and not keep:
            which.remove(n); failed.append(n)
            print(f'{n}: {len(new)} flagged cell{"s"*(len(new)>1)} with other code than at the last run: --flags runs them, --keep keeps their outputs')
    with ProcessPoolExecutor(workers) as ex:
        for n,notes,diff,err in ex.map(run_one, [r]*len(which), which, [extra]*len(which), [timeout]*len(which)):
            if err: failed.append(n); print(f'{n}: failed, nothing stored\n{textwrap.indent(err, "    ")}', flush=True); continue
            old = {**stamps(r), n: {**state(r, notebooks(r)[n]), **notes}}
            save(r, {k:v for k,v in old.items() if k in notebooks(r)})
            print(f'{n}: stored' + (f', {len(diff)} cells say something else' if diff else ''), flush=True)
            for i,a,b in diff[:8]: print(f'    code cell {i}: {a.strip()[:70]!r} -> {b.strip()[:70]!r}')
    return failed

def check(r):
    old, res = stamps(r), {}
    for n,p in notebooks(r).items():
        if w := why(r, p, old.get(n)): res[n] = w
    return res

# --- the check checked

def selftest():
    "Plant changes in a copy; those that make outputs stale must be found, in the right notebook, and the others not"
    with tempfile.TemporaryDirectory() as tmp:
        r = Path(tmp); (r/lib/'results').mkdir(parents=True); (r/'nbs').mkdir()
        (r/lib/'a.py').write_text('def f(x):\n    "Twice"\n    return g(x)\n\ndef g(x): return 2*x\n\ndef h(x): return x\n\nclass K: pass\n')
        (r/lib/'b.py').write_text('from .a import K, f\n@patch\ndef plot(self:K): return f(1)\n')
        (r/lib/'c.py').write_text('class Cb: pass\n@patch\ndef after_fit(self:Cb): return 1\n@patch\ndef other(self:Cb): return 2\ndef train(): return 5\n')
        (r/lib/'results/one.csv').write_text('1\n')
        def cell(s, *o): return dict(cell_type='code', id=sha(s), metadata={}, execution_count=None, source=s.splitlines(True), outputs=[
            dict(output_type='execute_result', data={'text/plain':[t]}, metadata={}, execution_count=None) for t in o])
        def write(*cells): (r/'nbs/n.ipynb').write_text(json.dumps(dict(cells=cells, metadata={}, nbformat=4, nbformat_minor=5)))
        first, slow = cell(f'from {lib}.a import f\nfrom {lib}.c import *'), cell('#| slow\nf(10**9)', '2000000000')
        def put(*cells): write(first, *cells)
        put(cell('f(2)  # two', '4'), slow)
        p = r/'nbs/n.ipynb'
        save(r, {'n.ipynb': {**state(r, p), 'data': {f'{lib}/results/one.csv': sha(b'1\n')}}})
        def expect(what, *words):
            library.cache_clear(); got = '; '.join(check(r).get('n.ipynb', []))
            if bool(got) != bool(words) or any(w not in got for w in words): sys.exit(f'fresh.py --test: {what}: {got or "not found"}')
        expect('nothing changed')
        put(cell('#| echo: false\nf( 2 )', '4'), slow); expect('comments, directives and spacing')
        put(cell('f(3)', '4'), slow); expect('other code, old output', 'its code changed')
        put(cell('f(2)', '5'), slow); expect('an output typed by hand', 'not those of its last run')
        put(cell('f(2)', '4'), cell('#| slow\nf(10**8)', '2000000000')); expect('other code in a slow cell', 'flagged')
        put(cell('f(2)', '4'), slow)
        a = (r/lib/'a.py').read_text()
        for old,new,found in (('Twice', 'Two times', ()), ('return x', 'return 3*x', ()), ('2*x', '3*x', (f'{lib}/a.py',)), ('class K: pass', 'class K: y=1', ())):
            (r/lib/'a.py').write_text(a.replace(old, new)); expect(f'{old} -> {new} in the library', *found)
        (r/lib/'a.py').write_text(a)
        put(cell('Cb(); dls.train', '4'), slow)
        save(r, {'n.ipynb': {**state(r, p), 'data': {f'{lib}/results/one.csv': sha(b'1\n')}}}); c = (r/lib/'c.py').read_text()
        for old,new,found in (('return 1', 'return 3', (f'{lib}/c.py',)), ('return 2', 'return 3', ()), ('return 5', 'return 3', ())):
            (r/lib/'c.py').write_text(c.replace(old, new)); expect(f'{old} -> {new}, an event, another method, a namesake of an attribute', *found)
        (r/lib/'c.py').write_text(c); expect('everything put back')
        (r/lib/'results/one.csv').write_text('2\n'); expect('other results', 'one.csv')
    print('planted: found; harmless: passed')

if __name__ == '__main__':
    ap = argparse.ArgumentParser(usage=__doc__)
    ap.add_argument('--run', nargs='*'); ap.add_argument('--flags', nargs='+', default=[]); ap.add_argument('--keep', action='store_true')
    ap.add_argument('--workers', type=int, default=1); ap.add_argument('--timeout', type=int, default=1800); ap.add_argument('--test', action='store_true')
    o = ap.parse_args()
    if o.test: sys.exit(selftest())
    if o.run is not None:
        nbs = notebooks(root)
        which = [next((n for n in nbs if Path(w).stem == Path(n).stem), None) or sys.exit(f'{w}: no such notebook in nbs/') for w in o.run]
        failed = run(root, which, o.flags, o.keep, o.workers, o.timeout)
        sys.exit(f'{len(failed)} not stored: {" ".join(failed)}' if failed else 0)
    stale = check(root)
    for n,w in stale.items(): print(f'nbs/{n}: stored outputs are stale: {"; ".join(w)}')
    gone = set(stamps(root)) - set(notebooks(root))
    if stale: sys.exit('mend: .ci/fresh.py --run ' + ' '.join(Path(n).stem for n in stale))
    print(f'{len(notebooks(root))} notebooks: stored outputs belong to this code and these results')
