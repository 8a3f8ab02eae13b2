#!/usr/bin/env python3
"""The widgets of nbs/11_explore.ipynb in a real JupyterLab, with a mouse and a keyboard: no step of .ci/run, for it needs JupyterLab.

    .ci/lab.py              open a notebook with explore(...) in JupyterLab, use every tab, list and slider, and say what happened
    .ci/lab.py --out DIR    keep a picture of each tab in DIR (default: a temporary folder, removed at the end)

A widget's fault shows in no test of a cell: the cell has run before anybody touches a knob. So this starts `jupyter lab` in an empty
folder, runs two cells in headless Chromium, and for each list (keys), each slider (dragged, and keys) and each tab (clicked) looks
whether the frame below has changed. What the kernel sends is read along: an error or a line on stderr fails, whoever shows it.
Needs the package, Chromium, and in the same environment: pip install jupyterlab ipywidgets playwright
"""
import argparse, json, os, secrets, signal, socket, subprocess, sys, tempfile, time, urllib.request
from importlib.util import find_spec
from pathlib import Path

here = Path(__file__).resolve().parent
need = 'jupyterlab ipywidgets ipykernel playwright'.split()

widget = '''import torch; torch.set_num_threads(1)
from csg_fastai.data import digits
from csg_fastai.explore import explore
from csg_fastai.train import load_pretrained
model,G = load_pretrained('digits-csg')
part = lambda s: dict(epoch=1+s, path='CSG', G=1-s*(1-G))
ex = explore(model, digits().valid, gate=G, gates=[part(s) for s in (0,.5,1)])
ex'''
twin = "ex.static(views=['atlas','confusion'])"

def notebook(*cells):
    cells = [dict(cell_type='code', id=f'c{i}', metadata={}, source=s.splitlines(True), outputs=[], execution_count=None) for i,s in enumerate(cells)]
    return dict(cells=cells, metadata=dict(kernelspec=dict(display_name='python3', language='python', name='python3')), nbformat=4, nbformat_minor=5)

def free_port():
    with socket.socket() as s: s.bind(('127.0.0.1', 0)); return s.getsockname()[1]

def serve(d):
    "JupyterLab on the folder `d`: its process and its address"
    port, token = free_port(), secrets.token_hex(8)
    cmd = [sys.executable, '-m', 'jupyterlab', '--no-browser', '--allow-root', f'--port={port}', '--ServerApp.port_retries=0', f'--IdentityProvider.token={token}',
           f'--ServerApp.root_dir={d}', '--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate']
    env = {**os.environ, **{f'JUPYTER_{k}_DIR':str(d/f'.{k}') for k in ('CONFIG', 'DATA', 'RUNTIME')}, 'JUPYTERLAB_SETTINGS_DIR':str(d/'.settings'),
           'JUPYTERLAB_WORKSPACES_DIR':str(d/'.workspaces'), 'PYTHONWARNINGS':'ignore', 'OMP_NUM_THREADS':'1'}
    quiet = d/'.settings/@jupyterlab/apputils-extension/notification.jupyterlab-settings'      # it would ask whether to fetch news
    quiet.parent.mkdir(parents=True); quiet.write_text('{"fetchNews": "false"}')
    log = open(d/'.log', 'w'); p = subprocess.Popen(cmd, env=env, cwd=d, stdout=log, stderr=log)
    for _ in range(240):
        if p.poll() is not None: sys.exit(f'JupyterLab does not start:\n{(d/".log").read_text()[-2000:]}')
        try: urllib.request.urlopen(f'http://127.0.0.1:{port}/api?token={token}', timeout=5); break
        except OSError: time.sleep(.5)
    return p, f'http://127.0.0.1:{port}/lab/tree/explore.ipynb?token={token}'

class Kernel:
    "What the kernel says besides widgets and results: errors, and lines on stderr"
    def __init__(self, page): self.bad = []; page.on('websocket', lambda ws: ws.on('framereceived', self.see))
    def see(self, data):
        s = data if isinstance(data, str) else data.decode('utf-8', 'replace')
        if '"msg_type": "error"' in s or '"name": "stderr"' in s or '"msg_type":"error"' in s: self.bad.append(' '.join(s.split())[-300:])

class Lab:
    "The notebook in the browser"
    def __init__(self, page, kernel, shots, wait):
        self.page, self.kernel, self.shots, self.wait, self.done, self.bad = page, kernel, shots, 1000*wait, [], []
    def run(self, i, until):
        "Run cell number i and wait for what it shows; what is run before the kernel is there gets lost"
        self.page.wait_for_function("() => /\\| Idle/.test(document.querySelector('#jp-main-statusbar')?.innerText)")
        self.page.locator('.jp-Cell .jp-InputArea-editor').nth(i).click()
        self.page.keyboard.press('Shift+Enter')
        try: self.page.wait_for_selector(until, timeout=self.wait)
        except Exception:
            self.page.screenshot(path=self.shots/'failed.png')
            sys.exit(f'cell {i} showed no {until}: {self.kernel.bad or self.page.locator(".jp-OutputArea").all_inner_texts()} (a picture: failed.png with --out)')
    def frame(self, box): return box.locator('.csgx-view').first
    def settle(self, box):
        "Wait until the last of a slider's many steps has been drawn, and the kernel rests"
        was = None
        while (now := (box.inner_html(), 'Idle' in self.page.locator('#jp-main-statusbar').inner_text())) != was or not now[1]:
            was = now; self.page.wait_for_timeout(400)
    def use(self, what, box, act):
        "Do something; the frame in `box` must change and be a frame again"
        old = self.frame(box).inner_html() if self.frame(box).count() else ''        # after a fault a message stands there
        act(); end = time.time() + self.wait/1000
        while time.time() < end:
            f = self.frame(box)
            if f.count() and f.is_visible() and f.inner_html() != old: break
            if box.locator('.widget-html-content').count() and not f.count(): break   # a message where the frame should be
            self.page.wait_for_timeout(50)
        self.settle(box); f = self.frame(box)
        good = f.count() and f.is_visible() and f.inner_html() != old
        self.note(good, what, '' if good else 'nothing changed' if f.count() else ' '.join(box.locator('.widget-html').last.inner_text().split())[-200:])
    def note(self, good, what, why=''):
        (self.done if good else self.bad).append(what)
        print(f'ok    {what}' if good else f'WRONG {what}: {why}', flush=True)
    def keys(self, c, *keys):
        c.focus()
        for k in keys: self.page.keyboard.press(k)
    def pick(self, s, key):
        "Open a list with the mouse, go on by one and take it (a closed list never gets the arrow keys: JupyterLab goes to another cell)"
        s.click()
        for k in (key, 'Enter'): self.page.keyboard.press(k)
    def drag(self, c, to):
        "Drag a slider's handle along its bar, to the share `to` of it"
        bar, h = c.locator('.noUi-target').bounding_box(), c.locator('.noUi-handle').bounding_box()
        at = lambda x,b: (x, b['y'] + b['height']/2)
        self.page.mouse.move(*at(h['x'] + h['width']/2, h)); self.page.mouse.down()
        self.page.mouse.move(*at(bar['x'] + to*bar['width'], bar), steps=8); self.page.mouse.up()

def widgets(lab):
    "Every tab, and in each every list and slider that has a choice"
    tabs = lab.page.locator('.widget-tab .lm-TabBar-tab')
    for i in range(tabs.count()):
        name = tabs.nth(i).inner_text().strip()
        tabs.nth(i).click(); lab.page.wait_for_timeout(200)
        box = lab.page.locator('.widget-tab-contents > .widget-box:visible').first
        lab.note(good := lab.frame(box).count() == 1, f'tab {name}', 'no frame')
        if not good: continue
        used = len(lab.done + lab.bad)
        for kind in ('.widget-dropdown', '.widget-hslider, .widget-inline-hbox:has(.noUi-target)'):
            cs = box.locator(kind)
            for j in range(cs.count()):
                c = cs.nth(j); label = c.locator('.widget-label').first.inner_text()
                what = f'{name}, {label}'
                if kind == '.widget-dropdown':
                    s = c.locator('select'); n = s.locator('option').count()
                    if n < 2: continue
                    first = s.evaluate('e => e.selectedIndex') == 0
                    lab.use(what, box, lambda: lab.pick(s, 'ArrowDown' if first else 'ArrowUp'))
                else:
                    lab.use(f'{what}, dragged', box, lambda: lab.drag(c, .02))
                    lab.use(f'{what}, keys', box, lambda: lab.keys(c.locator('.noUi-handle'), 'ArrowRight'))
        if len(lab.done + lab.bad) == used: lab.note(False, f'tab {name}', 'neither a list nor a slider to use')
        lab.page.screenshot(path=lab.shots/f'{i}_{name.replace(" ", "_")}.png')

def twins(lab):
    "The static twin as a cell's output: its script has to run in JupyterLab, too"
    box = lab.page.locator('.csgx-tabs')
    s = box.locator('select:visible').first
    lab.use('static twin, list', box, lambda: lab.pick(s, 'ArrowDown'))
    box.locator('[role=tab]').nth(1).click(); lab.page.wait_for_timeout(100)
    lab.note(box.locator('section').nth(1).is_visible(), 'static twin, second tab', 'it does not open')
    box.scroll_into_view_if_needed(); lab.page.screenshot(path=lab.shots/'twin.png')

def main():
    ap = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ap.add_argument('--out', help='keep pictures here')
    ap.add_argument('--wait', type=int, default=300, help='seconds for one answer of the kernel')
    args = ap.parse_args()
    if lost := [o for o in need if find_spec(o) is None]:
        sys.exit(f"{', '.join(lost)} not installed: pip install {' '.join(need)} in an environment that has the package (pip install .)")
    from playwright.sync_api import sync_playwright
    sys.path.insert(0, str(here)); from pages import chromium
    if (exe := chromium()) is None: sys.exit('no Chromium is here and none can be installed: install chromium')
    signal.signal(signal.SIGTERM, lambda *a: sys.exit(143))                # JupyterLab goes with it
    with tempfile.TemporaryDirectory() as tmp:
        d = Path(tmp); shots = Path(args.out or d/'shots'); shots.mkdir(parents=True, exist_ok=True)
        (d/'explore.ipynb').write_text(json.dumps(notebook(widget, twin)))
        server, url = serve(d)
        try:
            with sync_playwright() as pw:
                b = pw.chromium.launch(executable_path=exe, args=['--no-sandbox', '--disable-gpu'])
                page = b.new_page(viewport=dict(width=1280, height=1000)); kernel, script = Kernel(page), []
                page.set_default_timeout(1000*args.wait)
                page.on('pageerror', lambda e: script.append(str(e).splitlines()[0][:200]))
                page.goto(url); page.wait_for_selector('.jp-Notebook .jp-Cell')
                lab = Lab(page, kernel, shots, args.wait)
                lab.run(0, '.widget-tab .csgx-view'); widgets(lab)
                lab.run(1, '.csgx-tabs'); twins(lab)
                b.close()
        finally: server.terminate(); server.wait()
    for o in [*(f'the kernel: {o}' for o in kernel.bad), *(f'script error: {o}' for o in script)]: lab.note(False, *o.split(': ', 1))
    print(f'{len(lab.done)} answered, {len(lab.bad)} wrong')
    sys.exit(bool(lab.bad))

if __name__ == '__main__': main()
