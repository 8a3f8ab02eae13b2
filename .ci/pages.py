#!/usr/bin/env python3
"""The pages of the site, as far as they can be checked without Quarto, and the rendered site itself where there is one.

    .ci/pages.py [--out DIR]   the pages, processed by nbdev in a copy, checked, and opened in a browser; DIR keeps them, with pictures
    .ci/pages.py --site DIR    a rendered site (_docs): its links, and its pages in a browser
    .ci/pages.py --test        plant what must not pass, and see that it does not

Without a browser: links and anchors resolve as Quarto resolves them; outputs hold no error, no path of one machine, at most 2 MB; options
of cells are YAML; code fits the column; figures have words; equations become MathML; titles differ, and nothing is lost beside one. In
Chromium, wide and narrow: no script error, no request that leaves the site, no page that scrolls sideways; every interactive fragment
answers a click and the arrow keys. axe-core finds nothing serious in pages of each kind, light and dark: contrast, names of controls.
"""
import argparse, html, json, os, re, shutil, subprocess, sys, tempfile
from pathlib import Path
from posixpath import dirname, join, normpath
from urllib.parse import unquote
import docs
from nb import blob, body, cfg, copy, fenced, hidden, notebooks, options, parts, read, root, site, text

columns, message, MB = 120, 150, 2**20                                       # of code; of a line with a long message; the site wraps it
re_path = re.compile(r'(?<![\w.:/])/(?:tmp|root|home|work|Users|private|var/folders)/\w[^\s\'"<>]*|\b(?:localhost|127\.0\.0\.1)\b')

# --- notebooks

def wrong_output(o):
    s = text(o.get('text', '')) + ''.join(text(v) for k,v in o.get('data', {}).items() if k in ('text/plain', 'text/markdown', 'text/html'))
    if o['output_type'] == 'error': yield f'stores an error: {o.get("ename")}'
    if o.get('name') == 'stderr': yield f'stores what went to stderr: {s.strip()[:80]}'
    if (n := len(json.dumps(o))/MB) > 2: yield f'stores {n:.1f} MB, at most 2 MB'
    if m := re_path.search(s): yield f'stores a path of one machine: {m[0][:60]}'

def wrong_cell(c):
    "What is wrong with a cell's outputs, options and code"
    import yaml
    for x in c['outputs']: yield from wrong_output(x)
    opts = '\n'.join(l[2:] for l in text(c['source']).split('\n') if re.match(r'#\| [\w-]+:', l))         # Quarto renders nothing of these
    try: yaml.safe_load(opts)
    except yaml.YAMLError: yield f'has options that are no YAML, put the text between quotes: {opts.strip()[:80]}'
    if hidden(c): return
    o = options(c)
    wide = [l for l in body(c).split('\n') if len(l) > (message if re.search(r'''(["']).{40,}\1''', l) else columns)]
    if wide and o.get('echo') != 'false': yield f'has {len(wide)} lines above {columns} characters: {wide[0].strip()[:60]}'
    figure = any('image/' in k for x in c['outputs'] for k in x.get('data', {}))
    if figure and not {'fig-alt', 'fig-cap'} & {*o}: yield 'has a figure without #| fig-alt'

def wrong(nb):
    "What is wrong with a notebook"
    for i,c in enumerate(nb['cells']):
        if c['cell_type'] == 'code': yield from (f'cell {i} {o}' for o in wrong_cell(c))
    title = next((s for c in nb['cells'] if c['cell_type'] == 'markdown' and re.search('^# ', s := text(c['source']), re.M)), '')
    if rest := re.sub(r'^(# .*|> .*|- \S+: .*)$', '', title, flags=re.M).strip():
        yield f"the site leaves out what stands in the title's cell: give it a cell of its own: {rest[:60]}"

# --- pages

def shown(x, opts):
    "An output as Quarto shows it"
    d = x.get('data', {'text/plain': x.get('text', '')})
    k = next((k for k in ('text/markdown', 'image/png', 'image/jpeg', 'image/svg+xml', 'text/plain') if k in d), '')
    s = text(d.get(k, ''))
    if k == 'text/plain': s = f'<pre>{html.escape(s)}</pre>'
    if k in ('image/png', 'image/jpeg'): s = f'<img alt="{html.escape(opts.get("fig-alt", ""))}" src="data:{k};base64,{s.strip()}">'
    if k != 'text/markdown': s = fenced(s, '{=html}')
    return s if opts.get('output') == 'asis' else f'::: {{.cell-output .cell-output-display}}\n{s}\n:::'

template = '''<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>{title} · csg_fastai</title><style>
body {{ max-width: 900px; margin: auto; font: 17px/1.5 sans-serif; }} pre.python {{ white-space: pre-wrap; }}
body.quarto-dark {{ background: #222; color: #dee2e6; }} {css}
</style></head><body class="quarto-light"><main class="content"><h1>{title}</h1>{body}</main></body></html>'''

def page(nb, css=''):
    "A notebook as HTML, by pandoc, and what is wrong with it"
    import pypandoc
    fm = docs.front(nb)
    md = '\n\n'.join([f"::: description\n{fm.get('description', '')}\n:::", *(p for c in nb['cells'] for p in parts(c, shown))])
    out = pypandoc.convert_text(md, 'html', 'markdown-implicit_figures', ['--mathml', '--wrap=none', '--quiet'])
    bad = [f'an equation that is no MathML: {o[:60]}' for o in re.findall(r'<span class="math [^>]*>(.*?)</span>', out)]
    bad += [f'a link within a link: take {o} out of its text' for o in re.findall(r'<a [^>]*>\[<code>(.*?)</code>\]\(', out)]   # nbdev's, in ours
    bad += [f'a text in one piece, whose line breaks Quarto takes out: {c["source"][:40]}' for c in nb['cells']
            if c['cell_type'] != 'code' and isinstance(c['source'], str) and '\n' in c['source']]
    if len(out) > 2*MB: bad.append(f'a page of {len(out)/MB:.1f} MB, at most 2 MB')
    return template.format(title=html.escape(fm.get('title', '')), css=css, body=out), bad

def scan(p):
    "Anchors and links of a page"
    s = re.sub(r'(<script\b[^>]*>).*?</script>', r'\1', p.read_text(encoding='utf-8'), flags=re.S)
    links = re.findall(r'''<(?:a|img|script|iframe|link|source|video)\s(?:[^>]*?\s)?(?:href|src)=["']([^"']+)''', s)
    return {*re.findall(r'''\sid=["']([^"']+)''', s)}, dict.fromkeys(map(html.unescape, links))

def html_files(d): return [f for f in sorted(p.relative_to(d).as_posix() for p in d.rglob('*.html')) if 'site_libs' not in f]

def dead_links(d, known={}, more={}):
    "(page, fault) of the links in the pages below `d`; `known`: {notebook: page}; `more`: {page: links} that stand elsewhere"
    scans = {f:scan(d/f) for f in html_files(d)}
    def dead(n, l):
        url, _, anchor = map(unquote, l.partition('#'))
        for start,folder in ((blob, root), (docs.colab(''), root/'nbs')):
            if url.startswith(start): return not (folder/url[len(start):]).exists()
        for start in (site, cfg['doc_baseurl']):                             # of the second kind are those of the page 404
            if url.startswith(start): url = url[len(start):] or '/'
        if re.match(r'[a-z][a-z0-9+.-]*:|//', url, re.I): return False
        to = normpath(join('/', dirname(n), url.partition('?')[0]))[1:] if url else n
        to = known.get(to, to)
        if (d/to).is_dir(): to = normpath(join(to, 'index.html'))
        return not (d/to).is_file() or bool(anchor and to in scans and anchor not in scans[to][0])
    links = {**{n:ls for n,(_,ls) in scans.items()}, **more}
    return [(n, f'{l} leads nowhere') for n,ls in links.items() for l in ls if dead(n, l)]

def make(out):
    "The pages in out/html: their names, and what is wrong as (page, fault)"
    from nbdev.doclinks import _nbpath2html
    src, to, titles, bad = out/'src', out/'html', {}, []
    for d in (src, to): shutil.rmtree(d, ignore_errors=True)
    copy(src)
    env = dict(os.environ, PYTHONPATH=str(src), OMP_NUM_THREADS='1', PYTHONWARNINGS='ignore', MPLBACKEND='agg')
    proc = "from nbdev.serve import proc_nbs; proc_nbs('nbs', n_workers=2)"                              # nbdev_proc_nbs would install Quarto
    for cmd,cwd in ((['-c', proc], src), ([root/'.ci/docs.py'], src/'_proc'), ([root/'.ci/docs.py', '--colab', out/'colab'], src)):
        r = subprocess.run([sys.executable, *cmd], cwd=cwd, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if r.returncode: sys.exit(f'the pages were not made:\n{r.stdout[-3000:]}')
    shutil.copytree(src/'_proc', to, ignore=shutil.ignore_patterns('*.ipynb'))
    nbs, css = notebooks(src/'_proc'), (to/'styles.css').read_text(encoding='utf-8')
    known = {n:_nbpath2html(Path(n)).as_posix() for n in nbs}
    for n,p in nbs.items():
        s, faults = page(nb := read(p), css); (to/known[n]).write_text(s, encoding='utf-8')
        if (t := docs.front(nb).get('title')) in titles: faults.append(f'its title is also that of {titles[t]}')
        titles[t] = n
        bad += [(n, o) for o in [*faults, *(wrong(read(src/'nbs'/n)) if n in notebooks() else ())]]
    links = re.findall(r'\]\(([^)\s]+)', (root/'_quarto.yml').read_text(encoding='utf-8'))               # every page gets them as they stand
    bad += [('_quarto.yml', f'{l} leads elsewhere from a page in a folder: write /{l}') for l in links if not re.match('/|[a-z]+:', l)]
    return [*known.values()], bad + dead_links(to, known, {'_quarto.yml':links})

# --- in the browser

def chromium():
    "A Chromium to drive: the system's, or playwright's; installed if that is possible. None if not"
    from playwright.sync_api import sync_playwright
    quiet = dict(env={**os.environ, 'DEBIAN_FRONTEND':'noninteractive'}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for cmd in ('true', 'apt-get update && apt-get install -y chromium', f'"{sys.executable}" -m playwright install chromium'):
        subprocess.run(cmd, shell=True, **quiet)
        with sync_playwright() as pw: own = pw.chromium.executable_path
        if p := next(filter(None, map(shutil.which, ('chromium', 'chromium-browser', 'google-chrome', own))), None): return p

js_wide = '''() => { const W = document.documentElement.clientWidth + 1, top = document.body;
  const boxed = e => e && e !== top && (getComputedStyle(e).overflowX !== 'visible' || boxed(e.parentElement));
  return document.documentElement.scrollWidth <= W ? [] : [...top.querySelectorAll('*')]
    .filter(e => e.getBoundingClientRect().right > W && !boxed(e)).slice(-2).map(e => `${e.tagName} "${e.textContent.trim().slice(0, 40)}"`) }'''
js_state = '''e => { const c = e.cloneNode(true); c.querySelectorAll('script').forEach(s => s.remove());
  return c.innerHTML + [...e.querySelectorAll('canvas')].map(s => s.toDataURL()).join() }'''
controls = 'button, input, select, [tabindex]:not([tabindex="-1"]), [role=button], [role=slider], [onclick], summary'

def click(c):
    b = c.bounding_box(); c.click(position=dict(x=b['width']*.8, y=b['height']/2), timeout=2000)
    if c.evaluate('e => e.tagName') == 'SELECT': c.select_option(index=1, timeout=2000)

def silent(box):
    "What an interactive fragment does not answer"
    left = ['a click', 'the arrow keys']
    acts = [('a click', click), *(('the arrow keys', lambda c, k=f'Arrow{o}': c.press(k)) for o in ('Right', 'Left', 'Down', 'Up'))]
    for c in box.locator(controls).all()[:20]:
        for what,act in acts if c.is_visible() and c.is_enabled() else ():
            if what not in left: continue
            before = box.evaluate(js_state)
            try: act(c); box.page.wait_for_timeout(60)
            except Exception: continue                                       # it is covered, or gone
            if box.evaluate(js_state) != before: left.remove(what)
    return left

judged = re.compile(r'(\d+|index|entanglement|callback|explore|report|explain|localization|ledger|frontier|measures|glossary|your_model|api)\.html$')

def unreadable(tab):
    "What axe-core finds serious in a page, light and dark: contrast, controls and pictures without a name"
    from axe_playwright_python.sync_playwright import Axe
    for theme in ('light', 'dark'):
        if theme == 'dark': tab.evaluate("() => (document.querySelector('.quarto-color-scheme-toggle') ?? {click: () => document.body.className = 'quarto-dark'}).click()")
        own = {'scrollable-region-focusable':{'enabled':False}}              # browsers give what scrolls the focus by themselves
        for v in Axe().run(tab, options=dict(rules=own)).response['violations']:
            if v['impact'] in ('serious', 'critical'):
                yield f'{theme}: {v["id"]}, {len(v["nodes"])} times: {v["nodes"][0]["target"][-1]} {v["nodes"][0]["html"][:60]}'

def browse(d, files, shots=None):
    "[(page, fault)] of pages below `d` in a browser, and how many fragments are interactive; pictures into `shots`"
    from playwright.sync_api import sync_playwright
    base, bad, n, now = f"http://site.test{cfg['doc_baseurl']}/", {}, 0, ''
    if (exe := chromium()) is None: print('SKIPPED: the browser test, since no Chromium is here and none can be installed'); return [], 0
    def note(o): bad[now, o[:150]] = None
    def route(r):
        f, inside = d/unquote(r.request.url[len(base):].partition('?')[0]), r.request.url.startswith(base)
        if inside and f.is_file(): return r.fulfill(path=f)
        if f.name != 'favicon.ico': note(f'asks for {r.request.url}')
        r.abort()
    with sync_playwright() as pw:
        b = pw.chromium.launch(executable_path=exe, args=['--no-sandbox', '--disable-gpu'])
        for w,h,phone in ((1280, 900, False), (390, 844, True)):
            tab = b.new_context(viewport=dict(width=w, height=h), is_mobile=phone, has_touch=phone).new_page()
            tab.route('**/*', route)
            tab.on('pageerror', lambda e: note(f'script error: {str(e).splitlines()[0]}'))
            tab.on('console', lambda m: note(f'console error: {m.text}') if m.type == 'error' and 'Failed to load' not in m.text else None)
            for now in files:
                tab.goto(base + now, wait_until='load')
                to = shots and shots/f'{now[:-5].replace("/", "-")}-{w}.jpg'
                if to: tab.screenshot(path=to, type='jpeg', quality=55, full_page=True, clip=dict(x=0, y=0, width=w, height=5000))
                if wide := tab.evaluate(js_wide): note(f'scrolls sideways at {w} pixels because of {", ".join(wide)}')
                boxes = [] if phone else tab.locator('.cell-output:has(script)').all()
                for i,x in enumerate(boxes):
                    for o in silent(x): note(f'interactive fragment {i} does not answer {o}')
                n += len(boxes)
                if not phone and judged.search(now):
                    for o in unreadable(tab): note(o)
        b.close()
    return [*bad], n

# --- the check checked

good = '''<div><img src="data:image/gif;base64,R0lGODlhAQABAAAAACwAAAAAAQABAAA=" alt="x"><input type="range" aria-label="x" max="3" value="0"><p>0</p><script>
(() => { const d = document.currentScript.parentElement, r = d.querySelector('input');
r.addEventListener('input', () => d.querySelector('p').textContent = r.value); })()</script></div>'''
fragments = {  # and what must be said of each
    good: '', good + '<script>nothing.here</script>': 'script error', '<p>x</p><script></script>': 'not answer a click',
    """<button onclick="this.textContent += '!'" onkeydown="if (event.key == 'ArrowRight') this.click()">x</button><script></script>""": '',
    """<button onclick="this.textContent += '!'">x</button><script></script>""": 'not answer the arrow keys',
    good.replace('addEventListener', 'dispatchEvent && void '): 'not answer a click',
    good + '<script src="https://example.com/x.js"></script>': 'asks for https://example.com/x.js',
    good.replace('const d', "fetch('https://example.com/y').catch(() => 0); const d"): 'asks for https://example.com/y',
    '</div><p style="width:1500px">a wide paragraph</p><div>': 'scrolls sideways', '<p style="color:#888">grey words</p>': 'light: color-contrast',
    '<p style="color:#555">grey words</p>': 'dark: color-contrast', '<button></button>': 'button-name'}

def code(s, **out): return dict(cells=[dict(cell_type='code', source=s, outputs=[{'output_type':'display_data', **out}]*bool(out))])
def md(s): return dict(cells=[dict(cell_type='markdown', source=s.splitlines(True))])
planted = [  # a notebook, and what must be said of it
    (code('f()', output_type='error', ename='E'), 'an error'), (code('f()', name='stderr', text='w'), 'stderr'), (code('f()', text='x'), ''),
    (code('f()', text='in /tmp/tmpab12'), 'path'), (code('f()', text='http://127.0.0.1:80'), 'path'), (code('f()', data={'image/png':''}), 'fig-alt'),
    (code('f()', data={'text/html':'x'*2*MB}), '2.0 MB'), (code('x = ' + '1'*117), 'above 120'), (code(f'f("{"1"*140}")'), ''),
    (code('#| hide\n' + '1'*130), ''), (code('#| export\n#| fig-alt: "Left: a"\nf()'), ''), (code('#| fig-alt: Left: a, b'), 'YAML'),
    (md('# A\n\n> b\n\nLost.'), 'Lost'), (md('# A\n\n> b'), ''),
    (code("#| fig-alt: 'a' and 'b'"), 'YAML'), (code('#| fig-alt: [a'), 'YAML'), (code('#| fig-alt: `a`'), 'YAML'),
    (dict(cells=[dict(cell_type='markdown', source='a\n\n- b')]), 'one piece'), (md('[[`f`](https://a.b)](c.html)'), 'a link within'), (md(r'$\nocommand{x}$'), 'MathML')]

def selftest(d):
    for nb,word in planted:
        found = [*wrong(nb), *page(nb)[1]]
        if bool(found) != bool(word) or word not in ''.join(found[:1]): sys.exit(f'pages.py --test: {str(nb)[:200]}: {found}')
    ok = '#b ../00_gate.ipynb#top /00_gate.ipynb https://example.com/x'.split()
    ok += [site, site + '/gate.html#top', blob + 'LICENSE', docs.colab('index.ipynb')]
    no = '#c ../00_gate.ipynb#none ../01_none.ipynb 00_gate.ipynb ../../LICENSE'.split()
    no += [site + '/none.html', blob + 'NONE', docs.colab('none.ipynb')]
    pages = {'index.html':'', 'gate.html':'<p id="top">', 'x/a.html':'<p id="b">' + ''.join(f'<a class="u" href="{l}">' for l in ok + no)}
    (d/'x').mkdir()
    for f,s in pages.items(): (d/f).write_text(s)
    found = [o.split()[0] for _,o in dead_links(d, {'00_gate.ipynb':'gate.html'})]
    if found != no: sys.exit(f'pages.py --test: dead links: {found}')
    for i,s in enumerate(fragments):
        nb = code('#| echo: false', **docs.output(dict(data={'text/html':s})))
        (d/f'{i}.html').write_text(page(nb, (root/'nbs/styles.css').read_text(encoding='utf-8'))[0])
    bad, n = browse(d, [f'{i}.html' for i in range(len(fragments))])
    for i,word in enumerate(fragments.values()):
        found = ' '.join(o for f,o in bad if f == f'{i}.html')
        if n and (bool(found) != bool(word) or word not in found): sys.exit(f'pages.py --test: fragment {i}: {found}')
    print('planted: found; good ones: passed')

if __name__ == '__main__':
    ap = argparse.ArgumentParser(usage=__doc__)
    ap.add_argument('--out'); ap.add_argument('--site'); ap.add_argument('--test', action='store_true')
    o = ap.parse_args()
    with tempfile.TemporaryDirectory() as tmp:
        if o.test: sys.exit(selftest(Path(tmp)))
        out = Path(o.out or tmp).resolve(); (out/'shots').mkdir(parents=True, exist_ok=True)
        d = Path(o.site) if o.site else out/'html'
        files, bad = (html_files(d), dead_links(d)) if o.site else make(out)
        seen, n = browse(d, files, None if o.site else out/'shots')
    for f,s in bad + seen: print(f'{f}: {s}')
    print(f'{len(files)} pages, {n} interactive fragments')
    told = [s for _,s in seen if o.site and 'scrolls sideways' in s]         # of a rendered site: no reason to keep it back
    if k := len(bad + seen) - len(told): sys.exit(f'{k} things to mend in the pages')
