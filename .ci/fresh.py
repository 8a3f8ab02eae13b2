#!/usr/bin/env python3
"""Do the notebooks' stored outputs belong to the code and the results that are here? Proved by hashes; runs nothing.

    .ci/fresh.py                     check; exit 1 naming each stale notebook, why, and the command that mends it
    .ci/fresh.py --run [NAMES]       run the stale notebooks (or NAMES), store their outputs, note what they were made from;
        --flags slow                 cells flagged so as well; otherwise they keep their stored outputs
        --keep                       flagged cells keep their outputs although their code changed: say so after looking
        --workers 2                  as many notebooks at a time
    .ci/fresh.py --test              plant stale outputs in a copy: each must be found, harmless changes must not

`nbs/.fresh.json` has hashes, for each notebook, of its own code, of each module of the library that it comes to by imports, of the
results that it names, and of the outputs themselves. Comments, docstrings and layout don't count. Only `--run` writes it.
"""
import argparse, ast, hashlib, json, os, re, subprocess, sys, tempfile
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path
from nb import cfg, code_cells, flagged, lib, notebooks, read, root, text, write

commands = dict(re.findall(r'(\w+)=\w+\.(\w+):', cfg['console_scripts']))               # which module a command belongs to

def sha(s): return hashlib.sha256(s if isinstance(s, bytes) else s.encode()).hexdigest()[:12]
def stamps(r=root): return read(f) if (f := r/'nbs/.fresh.json').exists() else {}
def save(notes, r=root): write(r/'nbs/.fresh.json', notes)

def dump(n):
    "A node as text, the same on every Python: no positions, empty fields, contexts or docstrings"
    if isinstance(n, list): return '[' + ','.join(map(dump, n)) + ']'
    if not isinstance(n, ast.AST): return repr(n)
    skip = 'ctx', 'kind', 'type_comment', 'type_ignores'
    d = {k:v for k,v in ast.iter_fields(n) if k not in skip and v not in (None, [])}
    if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Module)) and ast.get_docstring(n) is not None: d['body'] = n.body[1:]
    if isinstance(n, ast.JoinedStr): d['values'] = [o for o in n.values if getattr(o, 'value', None) != '']    # 3.12 has empty ones
    return f"{type(n).__name__}({','.join(f'{k}={dump(v)}' for k,v in d.items())})"

def code(src):
    "Code without what does not matter; of a cell with magics, its lines without comments"
    try: return dump(ast.parse(src))
    except SyntaxError: return re.sub(r'^\s*(#.*)?\n', '', src + '\n', flags=re.M)

re_import = re.compile(rf"\b{lib}\.(\w+)|ImportFrom\(module='(\w+)',names=\[[^]]*\],level=1|"
                       rf"(?:ImportFrom\((?:module='{lib}',)?names=|\bfrom {lib} import )([^]\n]*)")
def imported(s):
    "Modules that code (see `code`) imports, or names in a program of its own"
    return {w for m in re_import.findall(s) for o in m for w in re.findall(r'\w+', o)}

@cache
def library(r):
    "{module: (its hash, modules that it imports)}"
    L = {f.stem: code(f.read_text(encoding='utf-8')) for f in sorted((r/lib).glob('*.py')) if f.stem[0] != '_'}
    return {m: (sha(s), imported(s) & {*L}) for m,s in L.items()}

def outs(c): return [{k:v for k,v in o.items() if k not in ('execution_count', 'metadata')} for o in c.get('outputs', [])]
def kept(nb, extra=()): return {sha(code(text(c['source']))) for c in code_cells(nb) if flagged(c, extra) and outs(c)}

def stamp(p, r=root):
    "What the outputs of the notebook at `p` are made from, as it is now"
    nb, L, d, mods = read(p), library(r), r/lib/'results', set()
    own = '\n'.join(code(text(c['source'])) for c in code_cells(nb) if not flagged(c))
    words = {*re.findall(r'[\w-]+', own)}
    todo = imported(own) | {m for c,m in commands.items() if c in words}
    while todo := todo & {*L} - mods: mods |= todo; todo = set().union(*(L[m][1] for m in todo))
    tables = re.search(rf'{lib}\.results\b|default_exp results\b', '\n'.join(text(c['source']) for c in code_cells(nb)))
    def named(f):                                                                # `bench_imagenet` is also asked for as `imagenet`
        return {f.stem, f.stem.partition('_')[2]} & words or any(w[-1] == '-' and f.stem.startswith(w) for w in words)
    data = [f for f in sorted(d.rglob('*.*')) if tables and f.suffix == '.csv' or named(f)]
    def all_outputs(o): return sha(json.dumps([outs(c) for c in code_cells(o)], sort_keys=True))
    opens = 'read_text' in own and re.findall(r'[\w./-]+\.ipynb', own) or ()    # notebooks whose stored outputs it may read
    others = {p.parent/w for w in opens} - {p}
    reads = {f.name:all_outputs(read(f)) for f in sorted(others) if f.is_file()}
    return dict(code=sha(own), outputs=all_outputs(nb), flagged=sorted(kept(nb)), library={m:L[m][0] for m in mods},
                results={f.relative_to(d).as_posix():sha(f.read_bytes()) for f in data} | reads)

def why(p, old, r=root):
    "Why the stored outputs are stale; empty if they are fresh"
    if old is None: return ['never run by this program']
    now = stamp(p, r)
    if set(now['flagged']) - set(old['flagged']): return ['a flagged cell has outputs of other code']
    other = {k:[o for o in sorted({*now[k], *old[k]}) if now[k].get(o) != old[k].get(o)] for k in ('library', 'results')}
    parts = dict(code='its code changed', outputs='its outputs are not those of its last run')
    return [s for k,s in parts.items() if now[k] != old[k]] + [f'{k} changed: {" ".join(os)}' for k,os in other.items() if os]

# --- running

def noise(o):
    "What goes to stderr names folders of this machine; a progress bar says nothing afterwards"
    return o.get('name') == 'stderr' or bool(re.search('<progress|progress-bar', text(o.get('data', {}).get('text/html', ''))))

def execute(name, extra, timeout):
    "Run a notebook and store its outputs; what went wrong"
    import nbformat
    from nbclient import NotebookClient
    p = notebooks()[name]; before, nb, now, old = p.read_bytes(), nbformat.read(p, 4), read(p), set()
    for c in nb.cells:
        if c.cell_type == 'code' and flagged(c, extra): old.add(c.id); c.source = ''
    env = dict(os.environ, PYTHONPATH=f'{root}{os.pathsep}{os.environ.get("PYTHONPATH", "")}', PYTHONHASHSEED='0', OMP_NUM_THREADS='1')
    client = NotebookClient(nb, timeout=timeout, kernel_name='python3', coalesce_streams=True, resources=dict(metadata=dict(path=str(p.parent))),
                            extra_arguments=['--InlineBackend.figure_formats=retina'])                  # sharp at twice the density
    try: client.execute(env=env)
    except Exception as e: return re.sub(r'\x1b\[[0-9;]*m', '', str(e)).strip()[-1500:]
    if p.read_bytes() != before: return 'it was edited while it ran: run it again'
    for c,ran in zip(now['cells'], json.loads(nbformat.writes(nb))['cells']):
        if c['cell_type'] == 'code' and ran['id'] not in old: c['outputs'] = [o for o in ran['outputs'] if not noise(o)]
    now['metadata'] = dict(kernelspec=dict(display_name='python3', language='python', name='python3'))
    write(p, now)
    clean = 'import sys; from nbdev.clean import nbdev_clean; nbdev_clean.__wrapped__(sys.argv[1])'
    subprocess.run([sys.executable, '-c', clean, str(p)], cwd=root, check=True)

def run(names, extra, keep, workers, timeout):
    "Run what is stale, or `names`; those that were not stored"
    notes, nbs, failed, _ = stamps(), notebooks(), [], library(root)                # cached: as it is before anything runs
    names = names or [n for n,p in nbs.items() if why(p, notes.get(n))]
    for n in [n for n in names if not keep and n in notes and kept(read(nbs[n]), extra) - {*notes[n]['flagged']}]:
        names.remove(n); failed.append(n)
        print(f'{n}: flagged cells have other code than at the last run: --flags runs them, --keep keeps their outputs')
    with ProcessPoolExecutor(workers) as ex:
        for n,err in zip(names, ex.map(execute, names, [extra]*len(names), [timeout]*len(names))):
            print(f'{n}: ' + (f'failed, nothing stored\n{err}' if err else 'stored; `git diff` shows what it says now'), flush=True)
            if err: failed.append(n); continue
            notes[n] = stamp(nbs[n]); save({k:v for k,v in notes.items() if k in nbs})
    return failed

def selftest(r):
    "Changes in a small project: those that make outputs stale must be found, and the others not"
    p, a, c, csv = r/'nbs/n.ipynb', r/lib/'a.py', r/lib/'c.py', r/lib/'results/one.csv'
    p.parent.mkdir(); csv.parent.mkdir(parents=True); (r/lib/'b.py').write_text('from .a import f\n')
    good = 'def f(x):\n    "Twice"\n    return 2*x\n'
    def cell(s, o=''): return dict(cell_type='code', source=s, outputs=[dict(output_type='stream', name='stdout', text=o)]*bool(o))
    def put(two='f(2)  # two', out='4', slow='f(10**9)', module=good, other='x = 1', one='1'):
        write(p, dict(cells=[cell(f"from {lib}.b import *\nload('one')"), cell(two, out), cell(f'#| slow\n{slow}', '2')]))
        a.write_text(module); c.write_text(other); csv.write_text(one); library.cache_clear()
    put(); note = stamp(p, r)
    for word,kw in (('', {}), ('', dict(two='#| echo: false\nf( 2 )')), ('its code', dict(two='f(3)')), ('its outputs', dict(out='5')),
                    ('flagged', dict(slow='f(10**8)')), ('', dict(module=good.replace('Twice', 'Two times') + '# x\n')),
                    ('library changed: a', dict(module=good.replace('2*x', '3*x'))), ('', dict(other='x = 2')),
                    ('results changed: one.csv', dict(one='2'))):
        put(**kw); got = '; '.join(why(p, note, r))
        if bool(got) != bool(word) or word not in got: sys.exit(f'fresh.py --test: {kw}: {got or "not found"}')
    if [noise(o) for o in (dict(name='stderr'), dict(data={'text/html':'<progress>'}), dict(data={'text/html':'<p>'}))] != [True, True, False]:
        sys.exit('fresh.py --test: noise')
    print('planted: found; harmless: passed')

if __name__ == '__main__':
    ap = argparse.ArgumentParser(usage=__doc__)
    for k,kw in dict(run=dict(nargs='*'), flags=dict(nargs='+', default=[]), workers=dict(type=int, default=1), timeout=dict(type=int, default=1800),
                     keep=dict(action='store_true'), test=dict(action='store_true')).items(): ap.add_argument(f'--{k}', **kw)
    o, nbs = ap.parse_args(), notebooks()
    if o.test:
        with tempfile.TemporaryDirectory() as d: sys.exit(selftest(Path(d)))
    if o.run is not None:
        names = [next((n for n in nbs if Path(n).stem == Path(w).stem), None) or sys.exit(f'{w}: no such notebook in nbs/') for w in o.run]
        failed = run(names, o.flags, o.keep, o.workers, o.timeout)
        sys.exit(f'{len(failed)} not stored: {" ".join(failed)}' if failed else 0)
    stale = {n:w for n,p in nbs.items() if (w := why(p, stamps().get(n)))}
    for n,w in stale.items(): print(f'nbs/{n}: stored outputs are stale: {"; ".join(w)}')
    if stale: sys.exit('mend: .ci/fresh.py --run ' + ' '.join(Path(n).stem for n in stale))
    print(f'{len(nbs)} notebooks: stored outputs belong to this code and these results')
