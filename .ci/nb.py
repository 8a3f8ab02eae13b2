"What the scripts here share: settings, notebooks, options of a cell, a copy of the checkout. Needs only Python and git."
import json, os, re, subprocess, tempfile
from configparser import ConfigParser
from pathlib import Path

root = Path(__file__).resolve().parent.parent
cfg = ConfigParser(delimiters=['=']); cfg.read(root/'settings.ini'); cfg = cfg['DEFAULT']
lib, site, blob = cfg['lib_path'], cfg['doc_host'] + cfg['doc_baseurl'], f"{cfg['git_url']}/blob/{cfg['branch']}/"
re_option = re.compile(r'^\s*#\s*\|\s*([\w-]+)\s*:?\s*(.*?)\s*$')

def text(o): return o if isinstance(o, str) else ''.join(o)
def read(p): return json.loads(p.read_text(encoding='utf-8'))

def write(p, nb):
    "Store a notebook; texts as lists of lines, since Quarto takes the line breaks out of a text in one piece"
    for c in nb.get('cells', ()):
        for d in (c, *(o.get('data', o) for o in c.get('outputs', []))):
            for k in {'source', 'text', 'text/markdown', 'text/plain'} & {*d}: d[k] = text(d[k]).splitlines(True)
    p.write_text(json.dumps(nb, indent=1, sort_keys=True, ensure_ascii=False) + '\n', encoding='utf-8')

def notebooks(d=root/'nbs'):
    "{path below `d`: path} of the notebooks, hidden ones left out"
    found = {p.relative_to(d).as_posix():p for p in sorted(d.rglob('*.ipynb'))}
    return {n:p for n,p in found.items() if not re.search(r'(^|/)[._]', n)}

def code_cells(nb): return [c for c in nb['cells'] if c['cell_type'] == 'code']
def options(c): return {m[1]:m[2] for m in map(re_option.match, text(c['source']).split('\n')) if m}
def body(c): return '\n'.join(l for l in text(c['source']).split('\n') if not re_option.match(l)).strip('\n')
def hidden(c): return 'hide' in (o := options(c)) or o.get('include') == 'false'

def flagged(c, extra=()):
    "Is it a cell that `nbdev_test` leaves out?"
    o = options(c)
    off = {*cfg['tst_flags'].split()} - {*extra}
    return 'nbdev_export()' in text(c['source']) or o.get('eval') == 'false' or bool(off & {*o})

def fenced(s, kind=''):
    ticks = '`'*max(3, 1 + max(map(len, re.findall('`+', s)), default=0))
    return f'{ticks}{kind}\n{s}\n{ticks}'

def parts(c, show, prose=str):
    "What a cell shows, as Markdown: its text, or its code and outputs"
    o, code = options(c), body(c)
    if c['cell_type'] == 'markdown': return [prose(text(c['source']))]
    if c['cell_type'] != 'code' or hidden(c) or 'default_exp' in o: return []
    res = [fenced(code, 'python')] if code and o.get('echo') != 'false' else []
    return res + [show(x, o) for x in c['outputs'] if o.get('output') != 'false']

def git(*args, **env):
    return subprocess.run(['git', *args], cwd=root, env={**os.environ, **env}, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()

def snapshot():
    "The checkout as a tree of git: what is tracked, and what is not ignored"
    with tempfile.TemporaryDirectory() as d:
        git('add', '-A', GIT_INDEX_FILE=f'{d}/index')
        return git('write-tree', GIT_INDEX_FILE=f'{d}/index')

def copy(to):
    "The checkout's files in the new folder `to`, for what would write beside them"
    to.mkdir(parents=True)
    subprocess.run(f'git archive {snapshot()} | tar -xf - -C "{to}"', shell=True, check=True, cwd=root)
