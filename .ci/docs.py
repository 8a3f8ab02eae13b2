#!/usr/bin/env python3
"""What the site's pages get beyond nbdev's processing. Quarto runs it before it renders (`pre-render` in _quarto.yml), in nbdev's `_proc`.

    .ci/docs.py                finish the processed notebooks in the working folder; write llms.txt, the gallery and the list of the API
    .ci/docs.py --colab DIR    write the notebooks as Colab needs them (a first cell that installs the package) into DIR

Each page gets a link that opens it in Colab. Signatures lose what says nothing (`:NoneType`, modules of classes, fastai's list of
events) and are broken at 88 characters; several definitions of one cell stand in the order of the source. HTML outputs become raw
HTML in Markdown: where Quarto sees an output of type text/html, it adds require.js and jQuery from another server to the page.
Needs nothing but Python. Run twice, it changes nothing more.
"""
import base64, json, posixpath, re, sys, textwrap
from configparser import ConfigParser
from pathlib import Path

root = Path(__file__).resolve().parent.parent
cfg = ConfigParser(delimiters=['=']); cfg.read(root/'settings.ini'); cfg = cfg['DEFAULT']
branch, width = 'colab', 88
site = cfg['doc_host'] + cfg['doc_baseurl']

def text(o): return o if isinstance(o, str) else ''.join(o)
def lines(s): return s.splitlines(True)
def read(p): return json.loads(p.read_text(encoding='utf-8'))
def write(p, nb): p.write_text(json.dumps(nb, indent=1, sort_keys=True, ensure_ascii=False) + '\n', encoding='utf-8')
def pages(d): return sorted(p for p in d.rglob('*.ipynb') if not any(o[0] in '._' for o in p.relative_to(d).parts))
def markdown(id, s): return dict(cell_type='markdown', id=id, metadata={}, source=lines(s))

# --- a page's front matter, as nbdev writes it

def front(nb):
    "Front matter as {key: text}; YAML's plain and quoted scalars, folded lines included"
    first = text(nb['cells'][0]['source']) if nb['cells'] and nb['cells'][0]['cell_type'] == 'raw' else ''
    m = re.search(r'^---\n(.*?)\n---', first, re.S)
    if not m: return {}
    res = dict(re.findall(r'^([\w-]+): *(.*)$', re.sub(r'\n +', ' ', m[1]), re.M))
    return {k: v[1:-1].replace("''", "'") if v[:1] == v[-1:] and v[:1] in '\'"' and len(v) > 1 else v for k,v in res.items()}

# --- signatures

re_source = re.compile(r'^---\n+\[source\]\([^)\s]*/([\w/.]+)#L(\d+)\)')
events = re.compile(r'^(before|after)_\w+(:\w+)?=None$')

def _short(s):
    "A default value without modules and addresses"
    s = re.sub(r"<class '(?:[\w.]*\.)?(\w+)'>", r'\1', s)
    s = re.sub(r'<(?:function|bound method) (?:[\w.<>]*\.)?(\w+)(?: at 0x[0-9a-f]+| of .*?)?>', r'\1', s)
    return re.sub(r':NoneType\b', '', s).replace('functools.partial(', 'partial(')

def _broken(l):
    "A line of a signature, its comment continued below where it is too long"
    code, sep, note = l.partition(' # ')
    if len(l) <= width: return [l]
    if not sep: return textwrap.wrap(l, width, subsequent_indent=' '*(len(l) - len(l.lstrip())), break_long_words=False, break_on_hyphens=False)
    pad, out, cur = ' '*len(code), [], code + ' #'
    if len(code) > width - 30: out, cur, pad = [code], '        #', ' '*8   # a long default: the comment goes below
    for w in note.split():
        if len(cur) + 1 + len(w) > width and cur.strip(' #'): out.append(cur); cur = pad + ' #'
        cur += ' ' + w
    return out + [cur]

def signature(s):
    "A `def` block of `show_doc`, tidied"
    out = []
    for l in re.sub(r'\n\s*#\s*', ' ', s).split('\n'):                                   # a comment of several lines is one
        if ' # ' not in l and l.strip().count('=None') > 3:                        # many in a line: fastai's events
            l = '    ' + ', '.join(o for o in l.strip().rstrip(',').split(', ') if not events.match(o))
        elif events.match(l.strip().rstrip(',')): continue
        if l.strip(): out += _broken(_short(l))
    return '\n'.join(out)

def tidy(md):
    "show_doc's markdown"
    if not re_source.match(md): return md
    plain = lambda s: re.sub(r'\[`([^`\]]+)`\]\(http[^)\s]*\)', r'`\1`', s)           # nbdev links names in comments of code too
    md = re.sub(r'(```python\n)(def .*?)(\n```)', lambda m: m[1] + signature(plain(m[2])) + m[3], md, flags=re.S)
    md = re.sub(r'\n\*([^*\n]+)\*((?:\n(?![-*#`|>:])[^\n]+|\n`[^`][^\n]*)+)', lambda m: f'\n*{m[1]}{" ".join(m[2].split(chr(10)))}*', md)  # nbdev: the first line alone
    return md.replace('*Call self as a function.*', '').rstrip() + '\n'

def place(c):
    "File and line that a `show_doc` cell documents; None for other cells"
    for o in c.get('outputs', []):
        if m := re_source.match(text(o.get('data', {}).get('text/markdown', ''))): return m[1], int(m[2])

def in_order(cells):
    "Neighbouring show_doc cells by their line in the source"
    res, run = [], []
    for c in [*cells, None]:
        p = place(c) if c is not None else None
        if p: run.append((p, c)); continue
        res += [c for _,c in sorted(run, key=lambda o: o[0])]; run = []
        if c is not None: res.append(c)
    return res

# --- outputs

def raw_html(s):
    "HTML as a raw block of Markdown"
    ticks = '`'*max(3, 1 + max(map(len, re.findall('`+', s)), default=0))
    return f'{ticks}{{=html}}\n{s.strip()}\n{ticks}\n'

def output(o):
    "An output that brings no script from elsewhere; None to leave it out"
    d = o.get('data')
    if d is None: return o
    if 'application/vnd.jupyter.widget-view+json' in d: return                     # a widget without a kernel is dead
    d = {k:v for k,v in d.items() if k != 'application/javascript'}
    if 'text/html' in d: d = {'text/markdown': lines(raw_html(text(d['text/html'])))}
    elif 'text/markdown' in d: d = {**d, 'text/markdown': lines(tidy(text(d['text/markdown'])))}
    return {**o, 'data':d}

# --- pages

def colab(rel): return f"https://colab.research.google.com/github/{cfg['user']}/{cfg['repo']}/blob/{branch}/nbs/{rel}"

def outward(rel):
    "Links that leave nbs/ lead nowhere on the site: they go to the repository"
    def to(m):
        p = posixpath.normpath(posixpath.join('nbs', posixpath.dirname(rel), m[2]))
        return m[0] if p.startswith('nbs/') else f"{m[1]}{cfg['git_url']}/blob/{cfg['branch']}/{p}"
    return lambda s: re.sub(r'(\]\()(\.\./[^)\s#]*)', to, s)

def installs():
    "The front page of the site is read without a copy of the repository"
    return f'The copy is made of [the repository]({cfg["git_url"]}). The first command works without one, too:\n\n```sh\npip install "git+{cfg["git_url"]}" && csg_run\n```'

def finish(nb, rel):
    "One processed notebook, ready for Quarto"
    link = outward(rel)
    private = lambda s: re.sub(r'\[(`_\w+`)\]\(' + re.escape(site) + r'[^)\s]*\)', r'\1', s)  # nbdev links them, but has no heading for them
    for c in nb['cells']:
        if c['cell_type'] == 'markdown': c['source'] = lines(private(link(text(c['source']))))
        if c['cell_type'] == 'code': c['outputs'] = [o for o in map(output, c['outputs']) if o is not None]
    hidden = lambda c: place(c) and re.search(r'^### _', text(c['outputs'][0]['data']['text/markdown']), re.M)   # methods of private classes
    nb['cells'] = in_order([c for c in nb['cells'] if not hidden(c)])
    nb['metadata'].pop('widgets', None)
    if any(c['cell_type'] == 'code' for c in nb['cells']) and not any(c.get('id') == 'open-in-colab' for c in nb['cells']):
        to = f'[Open in Colab]({colab(rel)}){{.btn .btn-outline-secondary .btn-sm .colab}}'
        nb['cells'].insert(1 if front(nb) else 0, markdown('open-in-colab', to))
    if rel == 'index.ipynb' and not any(c.get('id') == 'install' for c in nb['cells']):
        at = next(i for i,c in enumerate(nb['cells']) if 'pip install' in text(c['source']))
        nb['cells'].insert(at+1, markdown('install', installs()))
    return nb

# --- pages made from the others

made = 'gallery.ipynb', 'api.ipynb'

def chapters(d):
    "(chapter, path, notebook) in the order of the sidebar"
    title = ''
    for l in (root/'nbs/sidebar.yml').read_text(encoding='utf-8').split('\n'):
        if m := re.match(r'\s*- section: (.*)', l): title = m[1]
        elif (m := re.match(r'\s*- (\S+\.ipynb)', l)) and m[1] not in made and (d/m[1]).exists(): yield title, m[1], read(d/m[1])

def page(title, desc, name, s):
    "A notebook of one markdown cell; nobody can edit it where the others are"
    fm = f'---\ntitle: {title}\ndescription: {desc}\noutput-file: {name}.html\nrepo-actions: false\n---\n'
    cells = [dict(cell_type='raw', id='front', metadata={}, source=lines(fm)), markdown('text', s)]
    return dict(cells=cells, metadata=dict(kernelspec=dict(display_name='python3', language='python', name='python3')), nbformat=4, nbformat_minor=5)

def documented(nb):
    "(name, docstring) of everything that show_doc shows"
    for c in nb['cells']:
        for o in c.get('outputs', []) if place(c) else []:
            md = text(o['data']['text/markdown'])
            name, doc = re.search(r'^### (\S+)$', md, re.M), re.search(r'\n\*([^*].*)\*\s*$', md)
            if name: yield name[1], doc[1] if doc else ''

def api(d):
    "Every public name with its line of documentation"
    out = []
    for _,rel,nb in chapters(d):
        rows = [f'- [`{n}`]({rel}#{n.lower()}): {doc}'.rstrip(': ') for n,doc in documented(nb)]
        if rows: out += ['', f"## {front(nb)['title']}", '', *rows]
    return page('API', 'Every public name and what it does', 'api', '\n'.join(out))

def figures(nb):
    "(heading, picture in base64, its text for those who can't see it) of the cells that are shown"
    head = front(nb).get('title', '')
    for c in nb['cells']:
        s = text(c['source'])
        if c['cell_type'] == 'markdown' and (hs := re.findall(r'^#+ (.*?)(?: *\{.*\})?$', s, re.M)): head = hs[-1]
        if c['cell_type'] != 'code' or re.search(r'#\| *(hide|include: *false|output: *false)', s): continue
        alt = re.search(r'#\| *fig-(?:alt|cap): *["\']?(.*?)["\']? *$', s, re.M)
        for o in c['outputs']:
            if png := o.get('data', {}).get('image/png'): yield head, text(png), alt[1] if alt else f'Figure of the section {head}'

def gallery(d):
    "The figures: all of the experiments, the first two of other pages"
    out = []
    for chapter,rel,nb in chapters(d):
        figs = list(figures(nb))[:None if chapter == 'Experiments' else 2]
        if not figs: continue
        out += ['', f"## [{front(nb)['title']}]({rel})", '', ':::: {.gallery}']
        for i,(head,png,alt) in enumerate(figs):
            f = d/'images/gallery'/f'{Path(rel).stem}-{i}.png'
            f.parent.mkdir(parents=True, exist_ok=True); f.write_bytes(base64.b64decode(png))
            alt = re.sub(r'[\[\]$`]', '', alt)
            out += ['', '::: {.shot}', f'[![{alt}](images/gallery/{f.name}){{loading="lazy"}}]({rel})', '', re.sub(r'[\[\]]', '', head), ':::']
        out += ['', '::::']
    return page('Gallery', 'The figures of all pages', 'gallery', '\n'.join(out))

NOTES = '''- Not on PyPI: `pip install .` in a copy of the repository.
- `learn.fit_one_cycle(n, lr, cbs=CSG())` trains (`from csg_fastai.callback import CSG`); then `learn.csg.G` is the gate, `[C,K]` (classes × filters), `learn.csg.place` where it was, `learn.csg.verdict()` what went wrong, if anything.
- The gate is used in training alone and reads the label: never report accuracy measured through it. Validation and inference run the plain network.
- `CSGInterpretation.from_learner(learn)` or `.from_model(model, dl)` (`csg_fastai.interpret`) has every measure; its mutual information `M` is `[K,C]`, in nats.
- Measured numbers are stored: `num('digits.digit_net.csg.mis')` and `table(...)` of `csg_fastai.results` read them. The ledger says which of the paper's claims hold.'''
optional = 'Results and commands'                    # llmstxt.org's word for what a short context may leave out

def llms(d):
    "The text of llms.txt: title, description, what to know first, and the pages by chapter"
    fm = {p.relative_to(d).as_posix(): front(read(p)) for p in pages(d)}
    def line(n):
        url = '/'.join([site, *Path(n).parent.parts, fm[n].get('output-file', Path(n).stem + '.html')])
        return f"- [{fm[n].get('title', n)}]({url}.md)" + (f": {fm[n]['description']}" if fm[n].get('description') else '')
    parts, title = {}, 'Start'
    for l in (root/'nbs/sidebar.yml').read_text(encoding='utf-8').split('\n'):
        if m := re.match(r'\s*- section: (.*)', l): title = m[1]
        elif (m := re.match(r'\s*- (\S+\.ipynb)', l)) and m[1] in fm: parts.setdefault(title, []).append(line(m[1]))
    if optional in parts: parts['Optional'] = parts.pop(optional)
    out = [f"# {cfg['title']}", '', f"> {cfg['description']}", '', 'Each page below is Markdown; without the final `.md` it is the page of the site.', '', NOTES]
    return '\n'.join([*out, *(o for k,ls in parts.items() for o in ('', f'## {k}', '', *ls))]) + '\n'

def main(d):
    for p in pages(d):
        if (rel := p.relative_to(d).as_posix()) not in made: write(p, finish(read(p), rel))
    for p,f in zip(made, (gallery, api)): write(d/p, f(d))
    (d/'llms.txt').write_text(llms(d), encoding='utf-8')

beside = 'index.ipynb',                              # they read files of the repository that Colab, which opens one notebook alone, doesn't have
left_out = ('%%script echo Not run here: this cell takes long, or needs images that do not come with the package. '
            'What it gives is on the site. Delete this line to run it.\n')

def main_colab(out):
    """The notebooks with a first cell that installs the package and what their tests and documentation need, a second one
    where files of the repository are read, and those cells switched off that `nbdev_test` leaves out as well"""
    src = f"https://github.com/{cfg['user']}/{cfg['repo']}"
    tools = ' '.join(f'"{o}"' for o in cfg['dev_requirements'].split() if re.match(r'(nbdev|execnb|fastcore|ghapi|timm|hypothesis)\b', o))
    slow = re.compile(rf"^\s*#\s*\|\s*({'|'.join(cfg['tst_flags'].split())})\b", re.M)
    for p in pages(root/'nbs'):
        nb = read(p); rel = p.relative_to(root/'nbs').as_posix()
        cells = [c for c in nb['cells'] if 'nbdev_export()' not in text(c['source'])]
        if any(c['cell_type'] == 'code' for c in cells):
            for c in cells:
                if c['cell_type'] == 'code' and slow.search(text(c['source'])): c['source'] = [left_out, *lines(text(c['source']))]
            first = [f'# Installs the package; then choose Runtime > Restart session, and go on below.\n!pip install -q "git+{src}" {tools}']
            if rel in beside: first.append(f'# The files beside this notebook\n![ -d /content/repository ] || git clone -q --depth 1 {src} /content/repository\n%cd /content/repository/nbs/{posixpath.dirname(rel)}')
            cells = [dict(cell_type='code', id=f'install{i}', metadata={}, execution_count=None, outputs=[], source=lines(o)) for i,o in enumerate(first)] + cells
        (out/'nbs'/rel).parent.mkdir(parents=True, exist_ok=True)
        write(out/'nbs'/rel, {**nb, 'cells':cells})
    for f in (root/'nbs').rglob('images/*'):
        to = out/'nbs'/f.relative_to(root/'nbs'); to.parent.mkdir(parents=True, exist_ok=True); to.write_bytes(f.read_bytes())
    (out/'README.md').write_text(f"The notebooks of [{cfg['title']}](https://github.com/{cfg['user']}/{cfg['repo']}) for Colab, made by `.ci/docs.py`.\n")

if __name__ == '__main__':
    if '--colab' in sys.argv: main_colab(Path(sys.argv[-1]))
    elif not (Path.cwd()/'_quarto.yml').exists() or Path.cwd().resolve() in (root, root/'nbs'):
        sys.exit("docs.py works on nbdev's copy of the notebooks: run nbdev_docs, or .ci/pages.py")
    else: main(Path.cwd())
