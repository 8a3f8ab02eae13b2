#!/usr/bin/env python3
"""The project's continuous integration, the same on every machine: from a clean clone, `.ci/run`.

    .ci/run                       every step, in order; stops at the first that fails
    .ci/run --list                names and meanings of the steps
    .ci/run --only clean readme   these steps alone
    .ci/run --dev VENV            use this development environment instead of making one
    .ci/run --user VENV           use this environment without nbdev instead of making one
    .ci/run --tmp DIR             work in DIR and keep it (default: a temporary folder, removed at the end)

Needs python3 with venv, git, tar, and a package index that pip can reach. Ends with `N passed, M failed`: steps and notebooks.
"""
import argparse, os, re, shutil, signal, subprocess, sys, tempfile, time
from pathlib import Path
from nb import cfg, copy, git, notebooks, root, snapshot
from readme import command

minutes = 90
compares = '^(01b?|04(b|ba|c|d)|09b|11a|12[a-e]?|13)_'                # notebooks that compare trainings or start commands
proxies = {f'{k}_proxy':'http://127.0.0.1:9' for k in ('http', 'https', 'all', 'HTTP', 'HTTPS', 'ALL')}

def sh(cmd, venv=None, cwd=root, **env):
    "Run lines of bash, in an environment if one is named; a failure ends the step, the time limit all of it"
    if venv and not (venv/'bin/python').exists(): sys.exit(f'{venv} is not there: run the step `dev` or `install` before this one')
    env = {**os.environ, 'PYTHONDONTWRITEBYTECODE':'1', 'PIP_DISABLE_PIP_VERSION_CHECK':'1', 'PIP_PROGRESS_BAR':'off', **env}
    if venv: env.update(PATH=f'{venv}/bin:{env["PATH"]}', VIRTUAL_ENV=str(venv))
    p = subprocess.Popen(['bash', '-ec', cmd], cwd=cwd, env=env, start_new_session=True, stderr=subprocess.STDOUT)
    try: rc = p.wait(max(1, ends - time.time()))
    except subprocess.TimeoutExpired: rc = f'the whole run may take {minutes} minutes'
    finally:                                            # Ctrl-C and the time limit also end what the command has started
        if p.poll() is None: os.killpg(p.pid, signal.SIGKILL)
    if rc: sys.exit(f'failed ({rc}): {cmd}')

def new(name): shutil.rmtree(tmp/name, ignore_errors=True); return tmp/name
def make(venv): sh(f'[ -d "{venv}" ] || python3 -m venv "{venv}"; "{venv}/bin/python" --version')
def same(was, what):
    if s := git('diff', '--name-only', was, snapshot()): sys.exit(f'{what} changed these files: look at the difference, and commit\n{s}')
def no_change(cmd): was = snapshot(); sh(cmd, dev); same(was, cmd)

def test():
    global took
    t = time.time(); sh(command('nbdev_test'), dev, OMP_NUM_THREADS='1')
    took = f'{len(notebooks())} notebooks passed in {time.time()-t:.0f} s on {os.cpu_count()} cores, without cells flagged slow or cuda\n'

def elsewhere():
    for o in ('a home', 'a tmp'): (tmp/o).mkdir(exist_ok=True)
    old = dict(ATEN_CPU_CAPABILITY='default', ONEDNN_MAX_CPU_ISA='SSE41', OMP_NUM_THREADS='1', LC_ALL='C', TZ='Asia/Kolkata')
    cmd = f"trap '' INT; nbdev_test --n_workers 2 --file_re '{compares}' < /dev/null"
    sh(cmd, dev, HOME=str(tmp/'a home'), TMPDIR=str(tmp/'a tmp'), **old)

def sidebar():
    s = (root/'nbs/sidebar.yml').read_text(encoding='utf-8')
    listed, want = sorted(re.findall(r'- (\S+\.ipynb)', s)), sorted([*notebooks(), 'api.ipynb', 'gallery.ipynb'])     # .ci/docs.py makes these two
    if listed != want: sys.exit(f'nbs/sidebar.yml and nbs/ differ, or it has one twice: {sorted({*listed} ^ {*want})}')
    if f"href: {cfg['git_url']}\n" not in s: sys.exit(f"nbs/sidebar.yml does not link to {cfg['git_url']}, the repository in settings.ini")

def build():
    copy(src := new('src'))
    sh(f'python -m build --outdir "{new("dist")}" "{src}" &> "{tmp}/build.log" || (tail -30 "{tmp}/build.log"; false); ls -l "{tmp}/dist"', dev)

def install():
    make(user); copy(to := new('copy')); sh(command('csg_run').split('&&')[0], user, to)

def job():
    here = new('job')/'here'; here.mkdir(parents=True)
    net = 'unshare -rn' if subprocess.call('unshare -rn true 2> /dev/null', shell=True) == 0 else 'env'     # without one, or proxies to nowhere
    sh(f'{net} bash -c "ip link set lo up 2> /dev/null; unset CSG_DATA PYTHONPATH; {command("csg_run").split("&&")[1]}"',
       user, here, HOME=str(here.parent), **proxies)
    sh('find . -name report.html -size +0 | grep .', cwd=here)

def wheel():
    for f in [*tmp.glob('dist/*.tar.gz'), *tmp.glob('dist/*.whl')] or sys.exit('nothing is built: run the step `build` before this one'):
        sh(f'pip install -q --no-deps --force-reinstall "{f}"; unset PYTHONPATH; python "{root}/.ci/smoke.py"', user, tmp)
    sh('unset PYTHONPATH; csg_run --epochs 4 --fresh --quiet', user, tmp)

steps = dict(
    commands=('README.md names the two commands', lambda: print(command('nbdev_test'), command('csg_run'), sep='\n')),
    dev=('a new environment for development', lambda: make(dev)),
    test=('the README command that runs the notebooks, as it stands', test),
    elsewhere=('notebooks that compare trainings or start commands, as on an older processor, in the background, in another place', elsewhere),
    export=('nbdev_export changes nothing', lambda: no_change('nbdev_export')),
    clean=('nbdev_clean changes nothing', lambda: no_change('nbdev_clean')),
    numbers=('no measured number is typed, every one that is named is stored', lambda: sh('.ci/check_numbers.py', dev)),
    fresh=('the outputs that notebooks store belong to this code and these results', lambda: sh('.ci/fresh.py --test; .ci/fresh.py')),
    readme=('README.md is what nbs/index.ipynb says', lambda: sh('.ci/readme.py --check')),
    sidebar=('nbs/sidebar.yml lists the notebooks that exist, each once', sidebar),
    pages=('the pages of the site: links, outputs, and a browser at two widths (pictures in pages/shots)',
           lambda: sh(f'.ci/pages.py --test; .ci/pages.py --out "{tmp}/pages"', dev)),
    build=('sdist and wheel build', build),
    install=('the README command that installs, in a new environment', install),
    job=('the README command that trains and reports, in an empty folder without a network', job),
    wheel=('sdist and wheel install there, hold what they should, and train, without nbdev', wheel),
    tidy=('the checkout is as it was', lambda: same(start, 'the steps above')))

ap = argparse.ArgumentParser(usage=__doc__)
ap.add_argument('--list', action='store_true')
ap.add_argument('--only', nargs='+', choices=steps, default=[*steps])
for o in ('--dev', '--user', '--tmp'): ap.add_argument(o, type=lambda d: Path(d).resolve())
o = ap.parse_args()
if o.list: sys.exit(print(*(f'{k:<10}{s}' for k,(s,_) in steps.items()), sep='\n'))
sys.stdout.reconfigure(line_buffering=True)
for s in (signal.SIGINT, signal.SIGTERM): signal.signal(s, lambda *a: sys.exit('stopped'))
with tempfile.TemporaryDirectory(prefix='csg-ci.') as d:
    tmp = o.tmp or Path(d); tmp.mkdir(parents=True, exist_ok=True)
    dev, user, start, began, passed, took = o.dev or tmp/'dev', o.user or tmp/'user', snapshot(), time.time(), 0, ''
    ends = began + 60*minutes
    for k in o.only:
        t = time.time(); print(f'\n== {k}: {steps[k][0]}')
        try: steps[k][1]()
        except (SystemExit, Exception) as e:
            print(e, f'-- {k} FAILED after {time.time()-t:.0f} s', f'\n{passed} passed, 1 failed', sep='\n'); sys.exit(1)
        print(f'-- {k} ok, {time.time()-t:.0f} s'); passed += 1 + len(notebooks())*(k == 'test')
print(f'\n{took}all in {time.time()-began:.0f} s\n{passed} passed, 0 failed')
