#!/usr/bin/env python3
"""What the site's pages get beyond nbdev's processing. Quarto runs it in nbdev's `_proc` before it renders (_quarto.yml).

    .ci/docs.py                finish the processed notebooks in the working folder; add llms.txt, gallery, API and 404
    .ci/docs.py --colab DIR    write the notebooks as Colab needs them, behind cells that install the package, into DIR

Each page gets a link that opens it in Colab. Signatures lose what says nothing. HTML outputs become raw HTML in Markdown: where Quarto
sees text/html, it adds require.js and jQuery from another server to the page. Run twice, it changes nothing more.
"""
import ast, base64, json, posixpath, re, shutil, sys
from itertools import groupby
from pathlib import Path
from nb import blob, body, cfg, code_cells, fenced, flagged, hidden, lib, notebooks, options, read, root, site, text, write

all_figures, optional = 'Experiments', 'Runs and commands'    # chapters: shown whole in the gallery; what a short context may leave out
made = {'gallery': ('Gallery', 'The figures of all pages'), 'api': ('API', 'Every public name and what it does, by module'),
        '404': ('Page not found', 'There is nothing at this address')}
notes = '''- Not on PyPI: `pip install .` in a copy of the repository.
- `learn.fit_one_cycle(n, lr, cbs=CSG())` trains (`from csg_fastai.callback import CSG`); then `learn.csg.G` is the gate, `[C,K]` (classes × filters), `learn.csg.place` where it was, `learn.csg.verdict()` what went wrong, if anything.
- The gate is used in training alone and reads the label: never report accuracy measured through it. Validation and inference run the plain network.
- `CSGInterpretation.from_learner(learn)` or `.from_model(model, dl)` (`csg_fastai.interpret`) has every measure; its mutual information `M` is `[K,C]`, in nats.
- Measured numbers are stored: `num('digits.digit_net.csg.mis')` and `table(...)` of `csg_fastai.results` read them. The ledger says which of the paper's claims hold.'''

def markdown(id, s): return dict(cell_type='markdown', id=id, metadata={}, source=s)
def colab(rel): return f"https://colab.research.google.com/github/{cfg['user']}/{cfg['repo']}/blob/colab/nbs/{rel}"

def front(nb):
    "The page's front matter, as nbdev writes it"
    import yaml
    first = text(nb['cells'][0]['source']) if nb['cells'] and nb['cells'][0]['cell_type'] == 'raw' else ''
    return next(filter(None, yaml.safe_load_all(first)), {})

# --- what nbdev's show_doc shows

def place(c):
    "File and line that a `show_doc` cell documents; None for other cells"
    for o in c.get('outputs', []):
        m = re.match(r'---\n+\[source\]\([^)\s]*/([\w/.]+)#L(\d+)\)', text(o.get('data', {}).get('text/markdown', '')))
        if m: return m[1], int(m[2])

noise = [(r'\[`([^`\]]+)`\]\(http[^)\s]*\)', r'`\1`'), (r'\n\s*#\s*', ' '), (r'\b(before|after)_\w+(:\w+)?=None,?\s*', ''),
         (r':NoneType\b|functools\.(?=partial)', ''), (r"<class '(?:[\w.]*\.)?(\w+)'>", r'\1'),
         (r'<(?:function|bound method) (?:[\w.<>]*\.)?(\w+)(?: at 0x\w+| of .*?)?>', r'\1')]

def signature(m):
    "Links, comments of several lines, fastai's events, and modules of classes don't belong there"
    s = m[0]
    for a,b in noise: s = re.sub(a, b, s)
    return s

def tidy(md):
    "show_doc's Markdown; nbdev sets the first line of a docstring's paragraph alone in italics"
    md = re.sub(r'(?<=```python\n)def .*?(?=\n```)', signature, md, flags=re.S).replace('*Call self as a function.*', '')
    paragraph = r'\n\*([^*\n]+)\*((?:\n(?![-*#`|>:])[^\n]+|\n`[^`][^\n]*)+)'
    return re.sub(paragraph, lambda m: '\n*' + (m[1] + m[2]).replace('\n', ' ') + '*', md)

def title_of(c):
    "The name that a `show_doc` cell documents; None for other cells"
    return (m := place(c) and re.search(r'^### (\S+)$', text(c['outputs'][0]['data']['text/markdown']), re.M)) and m[1]

def documented(nb):
    "(name, Markdown, docstring) of everything that show_doc shows"
    for c in nb['cells']:
        if name := title_of(c):
            doc = re.search(r'\n\*([^*].*)\*\s*$', md := text(c['outputs'][0]['data']['text/markdown']))
            yield name, md, re.sub(*noise[0], doc[1]) if doc else ''

def example(nb, name):
    "The first short cell that calls it, with what it prints"
    called = re.compile(rf"(?<!def )\b{re.escape(name.split('.')[-1])}\(")
    for c in code_cells(nb):
        if place(c) or hidden(c) or flagged(c) or options(c).get('echo') == 'false' or not called.search(s := body(c)) or s.count('\n') > 11: continue
        prints = ''.join(text(o.get('text') or o.get('data', {}).get('text/plain', '')) for o in c['outputs'] if 'image/png' not in o.get('data', {}))
        return ['', fenced(s, 'python'), *(['', fenced(prints.rstrip(), 'text')] if 0 < len(prints) < 600 else [])]
    return []

# --- pages

def output(o, doc=False):
    "An output that brings no script from elsewhere"
    d = {k:v for k,v in o.get('data', {}).items() if k != 'application/javascript'}
    if 'text/html' in d:
        raw = fenced(text(d['text/html']).strip(), '{=html}') + '\n'        # the Markdown copies leave what is interactive out
        d = {'text/markdown': f'::: {{.content-visible when-format="html"}}\n{raw}:::\n' if '<script' in raw else raw}
    elif doc: d['text/markdown'] = tidy(text(d['text/markdown']))
    return {**o, 'data':d} if 'data' in o else o

def imports(c):
    "Is it a cell of imports that is shown?"
    if c['cell_type'] != 'code' or hidden(c) or {'export', 'code-fold', 'echo'} & {*options(c)}: return False
    try: return bool(ls := ast.parse(body(c)).body) and all(isinstance(o, (ast.Import, ast.ImportFrom)) for o in ls)
    except SyntaxError: return False

def finish(nb, rel):
    "One processed notebook, ready for Quarto"
    def outward(m):                                                          # what is not in nbs/ is in the repository
        p = posixpath.normpath(posixpath.join('nbs', posixpath.dirname(rel), m[1]))
        return m[0] if p.startswith('nbs/') else f']({blob}{p}'
    cells = [c for c in nb['cells'] if not re.search(r'^_|\.(before|after)_', title_of(c) or '')]     # private, or an event that fastai calls
    for c in cells:
        if c['cell_type'] == 'markdown':                                     # nbdev links names without a heading, and any word: `digits` is a recipe
            s = re.sub(rf'\[(`(?:_\w+|[a-z0-9]+|\w+\.(?:before|after)_\w+)`)\]\({re.escape(site)}[^)\s]*\)', r'\1', text(c['source']))
            c['source'] = re.sub(r'\]\((\.\./[^)\s#]*)', outward, s)
        elif imports(c): c['source'] = '#| code-fold: true\n#| code-summary: "Imports"\n' + text(c['source'])
        for k in ('outputs',)*(c['cell_type'] == 'code'):
            c[k] = [output(o, bool(place(c))) for o in c[k] if 'application/vnd.jupyter.widget-view+json' not in o.get('data', {})]
    nb['cells'] = [c for doc,g in groupby(cells, lambda c: bool(place(c))) for c in (sorted(g, key=place) if doc else g)]    # as in the source
    nb['metadata'].pop('widgets', None)
    ids = {c.get('id') for c in nb['cells']}
    if code_cells(nb) and 'open-in-colab' not in ids:
        link = f'[Open in Colab]({colab(rel)}){{.btn .btn-outline-secondary .btn-sm .colab}}'
        nb['cells'].insert(1 if front(nb) else 0, markdown('open-in-colab', link))
    return nb

# --- pages made from the others

def chapters(d):
    "(chapter, path, front matter, notebook) in the order of the sidebar"
    import yaml
    for o in yaml.safe_load((root/'nbs/sidebar.yml').read_text(encoding='utf-8'))['website']['sidebar']['contents']:
        title, names = ('Start', [o]) if isinstance(o, str) else (o['section'], o['contents'])
        yield from ((title, n, front(nb := read(d/n)), nb) for n in names if (d/n).exists())

def api(nbs, d):
    "The list of all names, and a page for each module: signatures, and a cell that uses each name"
    for _,n,fm,nb in nbs:
        docs = [*documented(nb)]
        if not docs: continue
        m = next(Path(place(c)[0]).stem for c in nb['cells'] if title_of(c))
        page(d, f'api/{m}', f'{lib}.{m}', fm.get('description', ''), [f"Explained and shown at work in [{fm['title']}](../{n}).",
            *(l for o,md,_ in docs for l in ('', re.sub('^### ', '## ', re.sub('^---\\n+', '', md), flags=re.M), *example(nb, o)))])
        yield from ('', f'## [{lib}.{m}](api/{m}.ipynb)', '', *(f'- [`{o}`](api/{m}.ipynb#{o.lower()}): {doc}'.rstrip(': ') for o,_,doc in docs))

def missing(nbs, d):
    yield 'Start at the [front page](/index.ipynb), look a name up in the [API](/api.ipynb), or search in the column on the left.'

def figures(nb, head):
    "(heading, picture in base64, its text for those who can't see it) of the cells that are shown"
    for c in nb['cells']:
        if c['cell_type'] == 'markdown': head = [head, *re.findall(r'^#+ (.*?)(?: *\{.*\})?$', text(c['source']), re.M)][-1]
        o = options(c)
        for x in c['outputs'] if c['cell_type'] == 'code' and not hidden(c) and o.get('output') != 'false' else ():
            alt = re.sub(r'[][$`]', '', o.get('fig-alt', o.get('fig-cap', head)).strip('"\''))
            if 'image/png' in x.get('data', {}): yield re.sub(r'[][]', '', head), text(x['data']['image/png']), alt

def gallery(nbs, d):
    (d/'images/gallery').mkdir(parents=True, exist_ok=True)
    for chapter,n,fm,nb in nbs:
        figs = [*figures(nb, fm.get('title', ''))][:None if chapter == all_figures else 2]
        if figs: yield from ('', f"## [{fm['title']}]({n})", '', ':::: {.gallery}')
        for i,(head,png,alt) in enumerate(figs):
            f = f'images/gallery/{Path(n).stem}-{i}.png'; (d/f).write_bytes(base64.b64decode(png))
            yield from ('', '::: {.shot}', f'[![{alt}]({f}){{loading="lazy"}}]({n})', '', head, ':::')
        if figs: yield from ('', '::::')

def llms(nbs):
    "llms.txt: title, description, what to know first, and the pages by chapter"
    parts = {}
    for title,n,fm,_ in nbs:
        url = '/'.join([site, *Path(n).parent.parts, fm.get('output-file', Path(n).stem + '.html')])
        line = f"- [{fm.get('title', n)}]({url}.md): {fm.get('description', '')}".rstrip(': ')
        parts.setdefault('Optional' if title == optional else title, []).append(line)
    if 'Optional' in parts: parts['Optional'] = parts.pop('Optional')
    head = 'Each page below is Markdown; without the final `.md` it is the page of the site.'
    out = [f"# {cfg['title']}\n\n> {cfg['description']}\n\n{head}\n\n{notes}\n", *('\n'.join([f'## {k}\n', *ls, '']) for k,ls in parts.items())]
    return '\n'.join(out)

def page(d, name, title, description, lines):
    "A page that nobody can edit where the others are"
    fm = f'---\ntitle: {title}\ndescription: {json.dumps(description)}\noutput-file: {Path(name).name}.html\nrepo-actions: false\n---\n'
    cells = [dict(cell_type='raw', id='front', metadata={}, source=fm), markdown('text', '\n'.join(lines))]
    kernel = dict(display_name='python3', language='python', name='python3')
    (d/name).parent.mkdir(exist_ok=True)
    write(d/f'{name}.ipynb', dict(cells=cells, metadata=dict(kernelspec=kernel), nbformat=4, nbformat_minor=5))

def main(d):
    for n,p in notebooks(d).items():
        if p.stem not in made and not n.startswith('api/'): write(p, finish(read(p), n))
    nbs = [o for o in chapters(d) if Path(o[1]).stem not in made]
    for k,f in dict(zip(made, (gallery, api, missing))).items(): page(d, k, *made[k], f(nbs, d))
    (d/'llms.txt').write_text(llms(chapters(d)), encoding='utf-8')

def main_colab(out):
    "The notebooks behind two cells: one installs the package and what its tests need, one goes where the notebook's files are"
    src, here = cfg['git_url'], f"/content/{cfg['repo']}"
    for n,p in notebooks().items():
        nb = read(p)
        first = (f'# Installs the package; then choose Runtime > Restart session, and go on below.\n'
                 f'![ -d {here} ] || git clone -q --depth 1 {src} {here}\n!pip install -q "{here}[dev]"',
                 f'# Where the files beside this notebook are\n%cd {here}/nbs/{posixpath.dirname(n)}')
        new = [dict(cell_type='code', id=f'install{i}', metadata={}, execution_count=None, outputs=[], source=s) for i,s in enumerate(first)]
        if code_cells(nb): nb['cells'][:0] = new
        (out/'nbs'/n).parent.mkdir(parents=True, exist_ok=True); write(out/'nbs'/n, nb)
    shutil.copytree(root/'nbs/images', out/'nbs/images', dirs_exist_ok=True)
    (out/'README.md').write_text(f"The notebooks of [{cfg['title']}]({src}) for Colab, made by `.ci/docs.py`.\n")

if __name__ == '__main__':
    if '--colab' in sys.argv: main_colab(Path(sys.argv[-1]))
    elif Path('_quarto.yml').exists() and Path.cwd().resolve() not in (root, root/'nbs'): main(Path.cwd())
    else: sys.exit("docs.py works on nbdev's copy of the notebooks: run nbdev_docs, or .ci/pages.py")
