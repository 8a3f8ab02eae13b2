#!/usr/bin/env python3
"""The pages of the site, as far as they can be checked without Quarto, and the rendered site itself where there is one.

    .ci/pages.py [NAMES]       all pages, or those named: processed by nbdev in a copy, checked, and opened in a browser
    .ci/pages.py --out DIR     keep the pages and pictures of them in DIR (default: a temporary folder)
    .ci/pages.py --workers 2   processes for nbdev
    .ci/pages.py --no-browser  the checks that need no browser
    .ci/pages.py --site DIR    open the pages of a rendered site (_docs) instead, and follow all their links
    .ci/pages.py --test        plant what must not pass, and see that it does not

Checked without a browser: links and anchors resolve, between notebooks, from README, and to images and sources; no stored errors, and
no paths of a machine, in outputs; no text is lost beside a title; no two pages share a title; the options of every
cell are YAML; links of the navigation lead somewhere from a folder further down, too; every output is below 2 MB; figures have text for those who can't see them; code fits the column; each
page of code opens in Colab; every equation becomes MathML; nothing makes Quarto add a script.
In headless Chromium, at desktop and phone width: no script error, no request that leaves the site, every interactive fragment
answers a click and the arrow keys, nothing but code, tables and pictures in boxes of their own needs scrolling sideways.
"""
import argparse, ast, functools, html, http.server, itertools, json, os, posixpath, re, shlex, shutil, subprocess, sys, tempfile, threading, time
from html.parser import HTMLParser
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path
from urllib.parse import unquote

here = Path(__file__).resolve().parent
root = here.parent
sys.path.insert(0, str(here))
import docs

text, read, cfg = docs.text, docs.read, docs.cfg
columns, message = 120, 150                          # of code, and of a line that holds a message as one string; the site wraps longer lines
MB, sizes = 2**20, dict(desktop=(1280, 900), phone=(390, 844))
re_directive = re.compile(r'^\s*#\s*\|\s*([\w-]+)\s*:?\s*(.*?)\s*$')
re_path = re.compile(r'(?<![\w.:/])/(?:tmp|root|home|work|Users|private|var/folders)/\w[^\s\'"<>]*')

# --- nbdev's processing, in a copy

def copy_tree(to):
    "The checkout's files, so that nothing is written beside them"
    fs = subprocess.run(['git', 'ls-files', '-z', '--cached', '--others', '--exclude-standard'], cwd=root, capture_output=True, check=True).stdout
    for f in filter(None, fs.decode().split('\0')):
        src, dst = root/f, to/f
        if not src.is_file(): continue
        dst.parent.mkdir(parents=True, exist_ok=True); shutil.copyfile(src, dst)

def process(names, workers):
    "nbdev's processors on the notebooks of the working folder, into _proc; what nbdev_docs does without its installs"
    from fastcore.parallel import parallel
    from nbdev.processors import FilterDefaults
    from nbdev import serve_drv
    nbs, proc = Path.cwd()/'nbs', Path.cwd()/'_proc'
    jobs = [(p, proc/p.relative_to(nbs), FilterDefaults) for p in docs.pages(nbs) if not names or p.stem in names]
    for _,d,_ in jobs: d.parent.mkdir(parents=True, exist_ok=True)
    parallel(serve_drv.main, jobs, n_workers=min(workers, len(jobs)) if len(jobs) > 1 else 0, method='spawn')
    shutil.copyfile(nbs/'_quarto.yml', proc/'_quarto.yml')

# --- a page as HTML

def pandoc():
    if p := shutil.which('pandoc'): return p
    try: import pypandoc; return pypandoc.get_pandoc_path()
    except (ImportError, OSError): sys.exit("pandoc is not installed: pip install -e '.[dev]' brings it (pypandoc_binary)")

def directives(src): return {m[1]: m[2] for m in map(re_directive.match, src.split('\n')) if m}

def fenced(s, kind):
    ticks = '`'*max(3, 1 + max(map(len, re.findall('`+', s)), default=0))
    return f'{ticks}{{{kind}}}\n{s}\n{ticks}'

def shown(o, d):
    "One output as markdown"
    if o['output_type'] == 'stream': return fenced(f'<pre>{html.escape(text(o["text"]))}</pre>', '=html')
    data, alt = o.get('data', {}), d.get('fig-alt', d.get('fig-cap', '')).strip('"\'')
    if 'text/markdown' in data: return text(data['text/markdown'])
    for k in ('image/png', 'image/jpeg'):
        if k in data: return fenced(f'<img alt="{html.escape(alt)}" src="data:{k};base64,{text(data[k]).strip()}">', '=html')
    if 'image/svg+xml' in data: return fenced(text(data['image/svg+xml']), '=html')
    return fenced(f'<pre>{html.escape(text(data.get("text/plain", "")))}</pre>', '=html')

def cell_md(c):
    "A cell as Quarto shows it"
    src = text(c['source'])
    if c['cell_type'] == 'markdown': return src
    if c['cell_type'] != 'code': return ''
    d = directives(src)
    if d.get('include') == 'false' or 'hide' in d: return ''
    code = '\n'.join(l for l in src.split('\n') if not re_directive.match(l)).strip('\n')
    res = [fenced(code, '.python .cell-code')] if code and d.get('echo') != 'false' else []
    if d.get('output') == 'asis': res += [shown(o, d) for o in c['outputs']]
    elif d.get('output') != 'false':
        res += [f'::: {{.cell-output .cell-output-display}}\n{shown(o, d)}\n:::' for o in c['outputs']]
    return '\n\n'.join(res)

template = '''<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title><style>
body {{ max-width: 900px; margin: auto; padding: 0 1rem 3rem; font: 17px/1.5 system-ui, sans-serif; color: #373a3c; }}
h1, h2, h3, h4 {{ line-height: 1.2; font-weight: 500; }} a {{ color: #1d6ec7; }} pre {{ overflow-x: auto; }}
pre.cell-code {{ background: #f6f7f8; padding: .5rem .7rem; white-space: pre-wrap; }} table {{ border-collapse: collapse; }} td, th {{ padding: .2rem .6rem; }}
tr {{ border-bottom: 1px solid #ddd; }} blockquote {{ color: #666; border-left: 3px solid #ddd; margin-left: 0; padding-left: 1rem; }}
</style><style>{css}</style></head><body class="fullcontent quarto-light"><main class="content"><h1 class="title">{title}</h1>{body}
</main></body></html>'''

def to_html(nb, css):
    "The page, and what pandoc had to say"
    fm = docs.front(nb)
    body = '\n\n'.join([f"::: description\n{fm.get('description', '')}\n:::", *filter(None, map(cell_md, nb['cells']))])
    res = subprocess.run([pandoc(), '-f', 'markdown-implicit_figures', '-t', 'html', '--mathml', '--wrap=none', '--highlight-style=pygments'],
                         input=body, capture_output=True, text=True, encoding='utf-8')
    if res.returncode: raise RuntimeError(res.stderr.strip()[-500:])
    return template.format(title=html.escape(fm.get('title', '')), css=css, body=res.stdout)

class Scan(HTMLParser):
    "Anchors, links, pictures and unconverted equations of a page"
    def __init__(self, s):
        super().__init__(); self.ids, self.links, self.srcs, self.math, self.imgs, self.noalt = set(), [], [], 0, 0, 0
        self.feed(s); self.close()
    def handle_starttag(self, tag, attrs):
        a = dict(attrs)
        if a.get('id'): self.ids.add(a['id'])
        if tag == 'a' and a.get('href'): self.links.append(a['href'])
        if tag in ('img', 'script', 'iframe', 'link', 'source', 'video') and (s := a.get('src') or (tag == 'link' and a.get('href'))): self.srcs.append((tag, s))
        if tag == 'img': self.imgs += 1; self.noalt += not a.get('alt')
        if 'math' in (a.get('class') or '').split(): self.math += 1
    handle_startendtag = handle_starttag

# --- checks that need no browser

def nested(page):
    "Links whose text is a name in backquotes: nbdev makes that a link of its own, and a link can't hold another"
    return [f'a link within a link: take {o} out of the text of the link' for o in re.findall(r'<a [^>]*>\[<code>(.*?)</code>\]\(', page)]

def check_outputs(nb):
    "What is wrong with a notebook's stored outputs"
    for i,c in enumerate(nb['cells']):
        for o in c.get('outputs', []):
            d = o.get('data', {})
            if o['output_type'] == 'error': yield f'cell {i} stores an error: {o.get("ename")}'
            if o.get('name') == 'stderr' and (m := re.search(r'.*(?:Warning\b|Traceback).*', text(o['text']))):
                yield f'cell {i} stores a warning that nobody meant to show: {m[0].strip()[:100]}'
            for k,v in d.items():
                s = v if isinstance(v, str) else ''.join(v) if isinstance(v, list) else json.dumps(v)
                if len(s) > 2*MB: yield f'cell {i}: output of {len(s)/MB:.1f} MB ({k}), at most 2 MB'
            s = text(o.get('text', '')) + ''.join(text(v) for k,v in d.items() if k in ('text/plain', 'text/markdown', 'text/html'))
            if m := re_path.search(s): yield f'cell {i} stores a path of one machine: {m[0][:60]}'

def check_source(nb):
    "Shown code wider than the column, and figures that say nothing to those who can't see them"
    for i,c in enumerate(nb['cells']):
        if c['cell_type'] != 'code': continue
        src, d = text(c['source']), directives(text(c['source']))
        if 'hide' in d or d.get('include') == 'false': continue
        wide = [l for l in src.split('\n') if len(l) > (message if re.search(r'''(["']).{40,}\1''', l) else columns) and not re_directive.match(l)]
        if wide and d.get('echo') != 'false': yield f'cell {i}: {len(wide)} lines of code above {columns} characters: {wide[0].strip()[:60]}'
        if any(k.startswith('image/') for o in c['outputs'] for k in o.get('data', {})) and not {'fig-alt', 'fig-cap'} & set(d):
            yield f'cell {i}: a figure without #| fig-alt'

def check_title(nb):
    "nbdev makes title and description of the first cell with a heading, and drops what else is in it"
    first = next((text(c['source']) for c in nb['cells'] if c['cell_type'] == 'markdown' and re.search(r'^# ', text(c['source']), re.M)), '')
    if rest := re.sub(r'^(# .*|> .*|- \S+: .*)$', '', first, flags=re.M).strip(): yield f"the site leaves out what stands in the title's cell: give it a cell of its own: {rest[:60]}"

def check_quarto(nb):
    "Outputs for which Quarto adds scripts from other servers"
    for i,c in enumerate(nb['cells']):
        for o in c.get('outputs', []):
            if bad := {'text/html', 'application/javascript', 'application/vnd.jupyter.widget-view+json'} & set(o.get('data', {})):
                yield f'cell {i} still has {sorted(bad)[0]} after .ci/docs.py'

def check_options(nb):
    "Options of a processed cell that are no YAML: Quarto reads the block of `#| ` lines that a cell begins with, and renders nothing if it can't"
    import yaml
    for i,c in enumerate(nb['cells']):
        if c['cell_type'] != 'code': continue
        block = '\n'.join(l[2:] for l in itertools.takewhile(lambda l: l.startswith('#|'), text(c['source']).split('\n')))
        try: o = yaml.safe_load(block)
        except yaml.YAMLError as e: yield f'cell {i}: its options are no YAML, put the text between quotes: {getattr(e, "problem", e)} in {block.strip()[:80]}'
        else:
            if o is not None and not isinstance(o, dict): yield f'cell {i}: its options are not of the form "key: value": {block.strip()[:80]}'

def check_navigation(site, known):
    """Links of `website` in _quarto.yml and sidebar.yml. Quarto resolves `href:` from the root of the site; but a text is Markdown that each page gets as
    it stands, so a link in it leads elsewhere from a folder further down, unless it begins with /"""
    def there(l):
        p = unquote(l.partition('#')[0]).lstrip('/')
        return re.match(r'[a-z]+:', l) or p in [*known.values(), 'llms.txt'] or (root/'nbs'/p).is_file()
    def walk(o, key=''):
        if isinstance(o, dict):
            for k,v in o.items(): yield from walk(v, k)
        elif isinstance(o, list):
            for v in o: yield from walk(v, key)
        elif isinstance(o, str):
            hrefs = [o] if key in ('href', 'contents') else []
            links = re.findall(r'\]\(([^)\s]+)', o)
            yield from (f'_quarto.yml: {l} leads elsewhere from a page in a folder: write /{l}' for l in links if not re.match('/|[a-z]+:', l))
            yield from (f'_quarto.yml: {l}: the site has no such page' for l in hrefs + links if not there(l))
    return [*walk(site)]

def check_titles(titles):
    "{notebook: title}: readers, tabs and search tell pages apart by their titles"
    for n,t in titles.items():
        if same := [o for o in titles if o != n and titles[o] == t]: yield n, f'{t!r} is also the title of {same[0]}'

def dead_links(d):
    "{page: links of a rendered site that lead nowhere on it}"
    scans = {p.relative_to(d).as_posix():Scan(p.read_text(encoding='utf-8')) for p in d.rglob('*.html') if 'site_libs' not in p.parts}
    def dead(n, l):
        url, _, anchor = l.partition('#'); url = url.partition('?')[0]
        if re.match(r'[a-z][a-z0-9+.-]*:|//', l, re.I): return False
        to = posixpath.normpath(posixpath.join(posixpath.dirname(n), unquote(url))) if url else n
        if (d/to).is_dir(): to = posixpath.join(to, 'index.html')
        return not (d/to).is_file() or bool(anchor and to in scans and unquote(anchor) not in scans[to].ids)
    return {n:[f'{l} leads nowhere' for l in dict.fromkeys(s.links + [u for _,u in s.srcs]) if dead(n, l)] for n,s in scans.items()}

def resolve(link, rel, known, ids):
    "What is wrong with a link of page `rel`; None if nothing. `known`: {output page: notebook}, `ids`: {notebook: anchors} of those made"
    url, _, anchor = link.partition('#')
    here_, src = docs.site.rstrip('/') + '/', f"{cfg['git_url']}/blob/{cfg['branch']}/"
    if not url: page = rel
    elif url.startswith(src):
        f, n = root/unquote(url[len(src):]), re.fullmatch(r'L(\d+)', anchor)
        if not f.exists(): return f'{link}: no such file in the repository'
        if n and int(n[1]) > f.read_text(encoding='utf-8').count('\n') + 1: return f'{link}: the file is shorter'
        return
    elif m := re.match(r'https://colab\.research\.google\.com/github/[^/]+/[^/]+/blob/[^/]+/(.*)', url):
        return None if (root/m[1]).exists() else f'{link}: no such notebook'
    elif url.startswith(here_):
        page = known.get(url[len(here_):] or 'index.html')
        if page is None: return f'{link}: the site has no such page'
    elif re.match(r'[a-z][a-z0-9+.-]*:|//', url, re.I): return
    else:
        page = posixpath.normpath(posixpath.join(posixpath.dirname(rel), unquote(url)))
        if page.startswith('..'): return f'{link} leaves the site'
        if not page.endswith('.ipynb'): return None if (root/'nbs'/page).exists() else f'{link}: no such file'
        if page not in known.values(): return f'{link}: no such notebook'
    if anchor and page in ids and unquote(anchor) not in ids[page]: return f'{link}: {page} has no heading of that name'

def output_page(n):
    "The page that nbdev makes from a notebook"
    from nbdev.doclinks import _nbpath2html
    return _nbpath2html(Path(n)).as_posix()

def check_colab(nb, n, page):
    "A notebook with code opens in Colab, where its first code cell installs the package"
    code = [text(c['source']) for c in nb['cells'] if c['cell_type'] == 'code']
    if code and docs.colab(n) not in page.links: yield 'no link that opens it in Colab'
    if not code: return
    if not ('pip install' in code[0] and cfg['repo'] in code[0]): yield "Colab's copy doesn't begin by installing the package"; return
    args = shlex.split(next(l for l in code[0].split('\n') if 'pip install' in l).partition('install')[2])
    got = dists(cfg['requirements'].split() + [a for a in args if a[0] != '-' and '://' not in a])
    for mod in sorted({m for s in code for m in imports(s)} - set(sys.stdlib_module_names) - {cfg['lib_name']}):
        if mod in _dists_of() and not got & {norm(o) for o in _dists_of()[mod]}: yield f"Colab's copy imports {mod}, which its first cell doesn't install"
    if n not in docs.beside: yield from (f"Colab's copy reads {o}, a file beside the notebook: add it to `beside` in .ci/docs.py" for s in code for o in files_beside(s))

def norm(s): return re.sub(r'[-_.]+', '-', re.match(r'[\w.-]+', s)[0]).lower()

@functools.cache
def _dists_of(): return packages_distributions()

@functools.cache
def _requires(o):
    try: return {norm(r) for r in requires(o) or () if 'extra ==' not in r}
    except PackageNotFoundError: return set()

def dists(names):
    "What pip installs for `names`, as far as it is installed here"
    seen, new = set(), set(map(norm, names))
    while new: seen |= new; new = {d for o in new for d in _requires(o)} - seen
    return seen

def trees(src):
    "Syntax of a cell that Colab runs, without IPython's lines"
    if src.startswith('%%'): return
    try: yield ast.parse('\n'.join('pass' if re.match(r'\s*[%!]', l) else l for l in src.split('\n')))
    except SyntaxError: return

def imports(src):
    "Top modules that a cell imports, but for those it can do without (`try: ... except ImportError`)"
    def walk(node):
        if isinstance(node, ast.Try) and any('ImportError' in ast.dump(h.type) for h in node.handlers if h.type): return
        if isinstance(node, ast.Import): yield from (o.name.split('.')[0] for o in node.names)
        if isinstance(node, ast.ImportFrom) and not node.level: yield node.module.split('.')[0]
        for o in ast.iter_child_nodes(node): yield from walk(o)
    return [m for t in trees(src) for m in walk(t)]

def files_beside(src):
    "Files of the repository that a cell opens by name: in a folder above, or notebooks"
    calls = (o for t in trees(src) for o in ast.walk(t) if isinstance(o, ast.Call) and o.args and isinstance(o.args[0], ast.Constant))
    named = ((getattr(o.func, 'id', getattr(o.func, 'attr', '')), str(o.args[0].value)) for o in calls)
    return [v for k,v in named if k in ('Path', 'open', 'read', 'read_text', 'savefig', 'listdir') and (v.startswith(('../', '.ci')) or v.endswith('.ipynb'))]

def check_readme(known, ids):
    s = (root/'README.md').read_text(encoding='utf-8')
    for link in re.findall(r'\]\(([^)\s]+)\)|\b(?:src|href)="([^"]+)"', s):
        l = link[0] or link[1]; url, _, anchor = l.partition('#')
        if re.match(r'[a-z]+:', url): continue
        if url and not (root/url).exists(): yield f'{l}: no such file'
        page = url[4:] if url.startswith('nbs/') else None
        if anchor and page in ids and anchor not in ids[page]: yield f'{l}: no heading of that name'

# --- in the browser

def chromium():
    "A Chromium to drive, installed if that is possible; None if not"
    names = 'chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'
    find = lambda: next((p for n in names if (p := shutil.which(n))), None)
    if p := find(): return p
    if os.geteuid() == 0 and shutil.which('apt-get'):
        for cmd in (['apt-get', 'update', '-qq'], ['apt-get', 'install', '-y', '-qq', 'chromium']):
            subprocess.run(cmd, env={**os.environ, 'DEBIAN_FRONTEND':'noninteractive'}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        if p := find(): return p
    subprocess.run([sys.executable, '-m', 'playwright', 'install', 'chromium'], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    from playwright.sync_api import sync_playwright
    with sync_playwright() as p: return path if Path(path := p.chromium.executable_path).exists() else None

class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args): pass

def serve(d):
    "A server for the files of `d`, and its address"
    s = http.server.ThreadingHTTPServer(('127.0.0.1', 0), functools.partial(Quiet, directory=str(d)))
    threading.Thread(target=s.serve_forever, daemon=True).start()
    return s, f'http://127.0.0.1:{s.server_port}/'

js_wide = '''() => {
  const W = document.documentElement.clientWidth, out = [];
  if (document.documentElement.scrollWidth <= W + 1) return out;
  const boxed = e => { for (e = e.parentElement; e && e !== document.body; e = e.parentElement)
      if (getComputedStyle(e).overflowX !== 'visible') return true; return false; };
  for (const e of document.body.querySelectorAll('*')) {
    const r = e.getBoundingClientRect();
    if (r.width && r.right > W + 1 && getComputedStyle(e).overflowX === 'visible' && !boxed(e))
      out.push(e.tagName.toLowerCase() + (e.className && e.className.split ? '.' + e.className.split(' ')[0] : '') + ' "' + (e.textContent || '').trim().slice(0, 40) + '"');
  }
  return out.slice(-2);
}'''
js_mark = '''() => { let n = 0; for (const s of document.querySelectorAll('.cell-output script, .cell-output-display script')) {
  const e = s.closest('.cell-output, .cell-output-display'); if (!e.dataset.twin) e.dataset.twin = n++; } return n; }'''
js_state = '''e => { const c = e.cloneNode(true); c.querySelectorAll('script').forEach(s => s.remove());
  c.querySelectorAll('*').forEach(s => s.removeAttribute('data-ci'));
  return c.innerHTML + [...e.querySelectorAll('canvas')].map(s => s.toDataURL()).join(); }'''
controls = 'button, input, select, [tabindex]:not([tabindex="-1"]), [role=button], [role=slider], [onclick], summary'

def twin(page, n):
    "What is wrong with an interactive fragment: it must answer a click, and the arrow keys"
    box = page.locator(f'[data-twin="{n}"]')
    state, cs = lambda: box.evaluate(js_state), box.locator(controls)
    hit = dict(click=False, keys=False)
    for i in range(min(cs.count(), 20)):
        c = cs.nth(i)
        if not c.is_visible() or not c.is_enabled(): continue
        if not hit['click']:
            before, b = state(), c.bounding_box()
            where = dict(x=b['width']*.8, y=b['height']/2)
            try: c.click(position=where, timeout=2000)
            except Exception: continue
            if c.evaluate('e => e.tagName') == 'SELECT': c.select_option(index=1, timeout=2000)
            page.wait_for_timeout(60); hit['click'] = state() != before
        if not hit['keys']:
            for key in ('ArrowRight', 'ArrowLeft', 'ArrowDown', 'ArrowUp'):
                before = state(); c.focus(); page.keyboard.press(key); page.wait_for_timeout(60)
                if state() != before: hit['keys'] = True; break
        if all(hit.values()): break
    if not cs.count(): yield f'interactive fragment {n} has nothing to click or to focus'
    else:
        if not hit['click']: yield f'interactive fragment {n} does not answer a click'
        if not hit['keys']: yield f'interactive fragment {n} does not answer the arrow keys'

def browse(d, files, shots):
    "{file: problems} of pages under `d` in a browser, and how many fragments are interactive; pictures into `shots`"
    try: from playwright.sync_api import sync_playwright
    except ImportError: sys.exit("playwright is not installed: pip install -e '.[dev]' brings it")
    exe = chromium()
    if exe is None: print('SKIPPED: the browser test, since no Chromium is here and none can be installed'); return {}, 0
    server, base = serve(d); res, twins = {f:[] for f in files}, 0
    with sync_playwright() as pw:
        b = pw.chromium.launch(executable_path=exe, args=['--no-sandbox', '--disable-gpu'])
        for size,(w,h) in sizes.items():
            ctx = b.new_context(viewport=dict(width=w, height=h), is_mobile=size == 'phone', has_touch=size == 'phone', device_scale_factor=1)
            gone, seen = [], set()
            def route(r):
                if r.request.url.startswith(base): r.continue_()
                else: gone.append(r.request.url); r.abort()
            ctx.route('**/*', route)
            page = ctx.new_page()
            page.on('pageerror', lambda e: seen.add(f'script error: {str(e).splitlines()[0][:150]}'))
            page.on('console', lambda m: seen.add(f'console error: {m.text[:150]}') if m.type == 'error' and 'ERR_FAILED' not in m.text and 'favicon' not in str(m.location) else None)
            for f in files:
                gone.clear(); seen.clear()
                page.goto(base + f, wait_until='load')
                n = page.evaluate(js_mark)
                if shots:
                    to = shots/f'{f[:-5].replace("/", "-")}-{size}.jpg'
                    tall = min(page.evaluate('document.documentElement.scrollHeight'), 5000)
                    page.screenshot(path=to, type='jpeg', quality=55, full_page=True, clip=dict(x=0, y=0, width=w, height=tall))
                if wide := page.evaluate(js_wide): seen.add(f'{size}: scrolls sideways because of {", ".join(wide)}')
                if size == 'desktop':
                    twins += n
                    for i in range(n): seen.update(twin(page, i))
                res[f] += [o for o in sorted(seen) + [f'asks for {u[:100]}' for u in gone] if o not in res[f]]
            ctx.close()
        b.close()
    server.shutdown()
    return res, twins

# --- together

def make(out, names, workers):
    "Process and convert the pages into out/html; {notebook: problems}, files and figures"
    src = out/'src'; shutil.rmtree(src, ignore_errors=True); copy_tree(src)
    env = {**os.environ, 'PYTHONPATH':str(src), 'OMP_NUM_THREADS':'1', 'PYTHONWARNINGS':'ignore', 'PYTHONDONTWRITEBYTECODE':'1', 'MPLBACKEND':'agg'}
    r = subprocess.run([sys.executable, str(here/'pages.py'), '--process', '--workers', str(workers), *names], cwd=src, env=env, capture_output=True, text=True)
    if r.returncode: sys.exit(f"nbdev's processing failed:\n{(r.stdout + r.stderr)[-3000:]}")
    subprocess.run([sys.executable, str(here/'docs.py')], cwd=src/'_proc', check=True)
    css, to = (root/'nbs/styles.css').read_text(encoding='utf-8'), out/'html'
    shutil.rmtree(to, ignore_errors=True); to.mkdir(parents=True)
    nbs = {p.relative_to(root/'nbs').as_posix():p for p in docs.pages(root/'nbs')}
    known, bad, scans, figs = {output_page(n):n for n in [*nbs, *docs.made]}, {}, {}, {}
    for p in docs.pages(src/'_proc'):
        n = p.relative_to(src/'_proc').as_posix(); nb = read(p)
        bad[n] = [*((*check_outputs(read(nbs[n])), *check_source(read(nbs[n])), *check_title(read(nbs[n]))) if n in nbs else ()), *check_quarto(nb), *check_options(nb)]
        page = to/output_page(n); page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(h := to_html(nb, css), encoding='utf-8'); scans[n] = s = Scan(h)
        if len(h) > 2*MB: bad[n].append(f'a page of {len(h)/MB:.1f} MB, at most 2 MB')
        if s.math: bad[n].append(f'{s.math} equations that pandoc cannot make MathML of')
        bad[n] += nested(h)
        figs[n] = s.imgs, s.noalt
    for f in [*(root/'nbs').rglob('images/*'), *(src/'_proc/images').rglob('*')]:
        if not f.is_file(): continue
        dst = to/f.relative_to(src/'_proc' if src in f.parents else root/'nbs'); dst.parent.mkdir(parents=True, exist_ok=True); shutil.copyfile(f, dst)
    ids = {n:s.ids for n,s in scans.items()}
    for n,s in scans.items():
        bad[n] += [o for o in dict.fromkeys(resolve(l, n, known, ids) for l in s.links) if o]
        for tag,u in s.srcs:
            if u.startswith('data:'): continue
            if re.match(r'[a-z]+:|//', u): bad[n].append(f'{tag} from {u[:80]}')
            elif not (to/posixpath.normpath(posixpath.join(posixpath.dirname(output_page(n)), unquote(u)))).exists(): bad[n].append(f'{tag} {u}: no such file')
    bad['README.md'] = [*check_readme(known, ids)]
    import yaml
    bad['_quarto.yml'] = [o for f in ('_quarto.yml', 'nbs/sidebar.yml') for o in check_navigation(yaml.safe_load((root/f).read_text(encoding='utf-8'))['website'], known)]
    for n,o in check_titles({p.relative_to(src/'_proc').as_posix():docs.front(read(p)).get('title') for p in docs.pages(src/'_proc')}): bad[n].append(o)
    subprocess.run([sys.executable, str(here/'docs.py'), '--colab', str(out/'colab')], check=True)
    for n in (n for n in nbs if n in bad): bad[n] += check_colab(read(out/'colab/nbs'/n), n, scans[n])
    shown_ = [(n, *o) for n,p in nbs.items() if (src/'_proc'/n).exists() for o in docs.documented(read(src/'_proc'/n))]
    bare = [o for _,o,doc in shown_ if not doc]
    print(f'{len(shown_)} public names, {len(bare)} of them without a line of documentation: {" ".join(bare)}')
    return bad, {n:output_page(n) for n in scans}, figs

def report(bad):
    for n,ps in bad.items():
        for p in ps: print(f'{n}: {p}')
    return sum(map(len, bad.values()))

# --- the check checked

good = '''<div><img src="data:image/gif;base64,R0lGODlhAQABAAAAACwAAAAAAQABAAA=" alt="x"><input type="range" min="0" max="3" value="0" aria-label="frame"><p>0</p>
<script>(() => { const d = document.currentScript.parentElement, r = d.querySelector('input');
r.addEventListener('input', () => d.querySelector('p').textContent = r.value); })()</script></div>'''
planted = {  # fragment, and what must be said of it; None: nothing
    'good': (good, None), 'button': ("<button onclick=\"this.nextElementSibling.hidden = !this.nextElementSibling.hidden\" onkeydown=\"if (event.key == 'ArrowRight') this.click()\">x</button><p>y</p><script></script>", None),
    'error': (good + '<script>nothing.here</script>', 'script error'),
    'dead': (good.replace('addEventListener', 'dispatchEvent && void '), 'does not answer a click'),
    'mouse': ("<button onclick=\"this.textContent += '!'\">x</button><script></script>", 'does not answer the arrow keys'),
    'empty': ('<p>x</p><script></script>', 'nothing to click'),
    'outside': (good + '<script src="https://example.com/x.js"></script>', 'asks for https://example.com'),
    'fetch': (good.replace("r.addEventListener('input',", "r.addEventListener('input', () => fetch('https://example.com/y').catch(() => 0)); r.addEventListener('input',"), 'asks for https://example.com/y'),
    'wide': ('<p style="width:1500px">a wide paragraph</p>', 'scrolls sideways')}

def selftest(browser):
    known, ids = {'gate.html':'00_gate.ipynb', 'x/a.html':'x/20_a.ipynb'}, {'00_gate.ipynb':{'top'}, 'x/20_a.ipynb':{'b'}}
    for link,ok in {'#b':True, '#c':False, '../00_gate.ipynb#top':True, '../00_gate.ipynb#nowhere':False, '../01_none.ipynb':False, docs.site + '/gate.html#top':True,
                    docs.site + '/gates.html':False, 'https://example.com/x':True, '../../LICENSE':False, f"{cfg['git_url']}/blob/{cfg['branch']}/LICENSE":True,
                    f"{cfg['git_url']}/blob/{cfg['branch']}/NONE":False}.items():
        if (resolve(link, 'x/20_a.ipynb', known, ids) is None) != ok: sys.exit(f'pages.py --test: link {link}')
    def out(**kw): return dict(cells=[dict(cell_type='code', source='f()', outputs=[dict(output_type='display_data', data={}, **kw)])])
    for nb,word in ((dict(cells=[dict(cell_type='code', source='', outputs=[dict(output_type='error', ename='E')])]), 'error'), (out(text='in /tmp/tmpab12'), 'path'),
                    (dict(cells=[dict(cell_type='code', source='', outputs=[dict(output_type='display_data', data={'text/html':'x'*(2*MB+1)})])]), '2.0 MB')):
        if not any(word in o for o in check_outputs(nb)): sys.exit(f'pages.py --test: {word} in outputs not found')
    if len([*check_source(dict(cells=[dict(cell_type='code', source='x = ' + '1'*120, outputs=[dict(data={'image/png':''})])]))]) != 2: sys.exit('pages.py --test: source')
    title = lambda s: len([*check_title(dict(cells=[dict(cell_type='markdown', source=s)]))])
    if (title('# A\n\n> b'), title('# A\n\n> b\n\nLost.')) != (0, 1): sys.exit('pages.py --test: text beside a title')
    for s,word in (('#| fig-alt: "Left: a"\nf()', None), ('#| echo: false\n#| fig-alt: a\n#| code-fold: true\nf()', None), ('f() #| a: b: c', None), ('#| fig-alt: Left: a, right: b', 'no YAML'),
                   ("#| fig-alt: 'a' and 'b'", 'no YAML'), ('#| echo: false\n#| fig-alt: [a', 'no YAML'), ('#| fig-alt: `a`', 'no YAML'), ('#| words', 'not of the form')):
        ps = [*check_options(dict(cells=[dict(cell_type='code', source=s)]))]
        if bool(ps) != bool(word) or (word and word not in ps[0]): sys.exit(f'pages.py --test: options {s!r}: {ps}')
    footer = lambda o: check_navigation({'page-footer':{'left':o}, 'sidebar':{'contents':[{'section':'x', 'contents':['x/20_a.ipynb']}]}}, known)
    for o,word in (('[a](/x/20_a.ipynb#b) [b](https://example.com) [c](/llms.txt)', None), ([{'text':'a', 'href':'00_gate.ipynb#top'}], None), ('[a](00_gate.ipynb#top)', 'elsewhere'),
                   ('[a](llms.txt)', 'elsewhere'), ('[a](/01_none.ipynb)', 'no such page'), ([{'text':'a', 'href':'none.ipynb'}], 'no such page')):
        ps = footer(o)
        if bool(ps) != bool(word) or (word and word not in ps[0]): sys.exit(f'pages.py --test: navigation {o!r}: {ps}')
    if [n for n,_ in check_titles(dict(a='x', b='y', c='x'))] != ['a', 'c']: sys.exit('pages.py --test: titles')
    with tempfile.TemporaryDirectory() as tmp:
        (Path(tmp)/'x').mkdir()
        for f,s in {'a.html':'<a href="x/b.html#i">', 'x/b.html':'<p id="i"><a href="../a.html"><a href="a.html"><a href="#j"><a href="https://example.com/"><img src="c.png">'}.items(): (Path(tmp)/f).write_text(s)
        if (ls := dead_links(Path(tmp))) != {'a.html':[], 'x/b.html':[f'{o} leads nowhere' for o in ('a.html', '#j', 'c.png')]}: sys.exit(f'pages.py --test: dead links: {ls}')
    if not nested(to_html(dict(cells=[dict(cell_type='markdown', source='[[`f`](https://a.b)](c.html)')]), '')): sys.exit('pages.py --test: a nested link not found')
    if not Scan(to_html(dict(cells=[dict(cell_type='markdown', source=r'$\nocommand{x}$')]), '')).math: sys.exit('pages.py --test: a wrong equation not found')
    link, first = f'[x]({docs.colab("a.ipynb")})', f'!pip install -q "git+https://github.com/x/{cfg["repo"]}"'
    for src,word in (("import torch\ntry: import nomod\nexcept ImportError: pass\nopen('a.txt')", None), ('from pip import main', 'imports pip'), ("Path('../settings.ini')", 'reads ../settings.ini'), ('%%script echo\nimport pip', None)):
        page = Scan(to_html(dict(cells=[dict(cell_type='markdown', source=link)]), ''))
        ps = [*check_colab(dict(cells=[dict(cell_type='code', source=o) for o in (first, src)]), 'a.ipynb', page)]
        if bool(ps) != bool(word) or (word and word not in ps[0]): sys.exit(f'pages.py --test: Colab: {ps}')
    if not browser: return print('planted: found, without a browser')
    with tempfile.TemporaryDirectory() as tmp:
        for k,(s,_) in planted.items():
            nb = dict(cells=[dict(cell_type='code', source='#| echo: false', outputs=[docs.output(dict(output_type='display_data', data={'text/html':s}))])])
            Path(tmp, f'{k}.html').write_text(to_html(nb, (root/'nbs/styles.css').read_text() if k != 'wide' else '.cell-output-display { overflow: visible !important }'))
        res, n = browse(Path(tmp), [f'{k}.html' for k in planted], None)
    for k,(_,word) in planted.items():
        ps = res.get(f'{k}.html', [])
        if res and (bool(ps) != bool(word) or (word and not any(word in p for p in ps))): sys.exit(f'pages.py --test: {k}: {ps}')
    print('planted: found; good ones: passed')

if __name__ == '__main__':
    ap = argparse.ArgumentParser(usage=__doc__)
    ap.add_argument('names', nargs='*'); ap.add_argument('--out'); ap.add_argument('--workers', type=int, default=2); ap.add_argument('--site')
    for o in ('--no-browser', '--test', '--process'): ap.add_argument(o, action='store_true')
    o = ap.parse_args(); t = time.time(); names = [Path(n).stem for n in o.names]
    if o.process: sys.exit(process(names, o.workers))
    if o.test: sys.exit(selftest(not o.no_browser))
    if o.site:
        d = Path(o.site); files = sorted(p.relative_to(d).as_posix() for p in d.rglob('*.html') if 'site_libs' not in p.parts)
        res, n = browse(d, files, None)
        for f,ls in dead_links(d).items(): res.setdefault(f, []).extend(ls)
        wide = {f:[p for p in ps if 'scrolls sideways' in p] for f,ps in res.items()}
        report(wide)                                                              # told, but no reason to keep a site back
        if report({f:[p for p in ps if p not in wide[f]] for f,ps in res.items()}): sys.exit('the rendered site does not pass')
        sys.exit(print(f'{len(files)} pages, {n} interactive fragments, {time.time()-t:.0f} s'))
    with tempfile.TemporaryDirectory() as tmp:
        out = Path(o.out or tmp).resolve(); out.mkdir(parents=True, exist_ok=True)
        bad, files, figs = make(out, names, o.workers)
        t1 = time.time(); n = 0
        if not o.no_browser:
            shots = out/'shots'; shutil.rmtree(shots, ignore_errors=True); shots.mkdir()
            res, n = browse(out/'html', list(files.values()), shots)
            for nb,f in files.items(): bad[nb] += res.get(f, [])
        lack = {k:v for k,(_,v) in figs.items() if v}
        print(f'{len(files)} pages, {n} interactive fragments; made in {t1-t:.0f} s, seen in {time.time()-t1:.0f} s')
        print(f'{sum(v for v,_ in figs.values())} figures, {sum(lack.values())} without alternative text: {" ".join(lack)}')
        if k := report(bad): sys.exit(f'{k} things to mend in the pages')
