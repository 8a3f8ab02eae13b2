#!/usr/bin/env python3
"""Make README.md from nbs/index.ipynb. Nothing is executed and nothing but Python is needed, so it comes out the same everywhere.

    .ci/readme.py                  write README.md
    .ci/readme.py --check          change nothing; exit 1 with one line if README.md is not what the notebook says
    .ci/readme.py --command WORD   print README.md's command: its one code line with `pip install` and WORD in it

Kept: markdown, code, and stored outputs as markdown or plain text. Left out: `#| hide` and `#| include: false` cells, the code of
`#| echo: false` cells, the outputs of `#| output: false` cells. Pictures are files in nbs/images/ that the notebook links to.
"""
import json, posixpath, re, sys
from pathlib import Path

root = Path(__file__).resolve().parent.parent
nb_path, readme = root/'nbs/index.ipynb', root/'README.md'
warning = '<!-- Made from nbs/index.ipynb by .ci/readme.py: edit the notebook, not this file. -->'
re_directive = re.compile(r'^\s*#\s*\|\s*([\w-]+)\s*:?\s*(.*?)\s*$')
re_fence = re.compile(r'^\s*(```+|~~~+)')
re_link = re.compile(r'(\]\(|\b(?:src|href)=")([^)\s"]+)')

def text(o): return o if isinstance(o, str) else ''.join(o)
def fenced(code, lang=''): return f"```{lang}\n{code.strip(chr(10))}\n```"

def relink(m):
    "A link that holds from nbs/, made to hold from the top of the repository"
    to = m[2]
    if re.match(r'[a-z][a-z0-9+.-]*:|[#/]', to, re.I): return m[0]
    to = posixpath.normpath(posixpath.join('nbs', to))
    if not (root/to.split('#')[0]).exists(): sys.exit(f'nbs/index.ipynb links to {to}, which is not there: add the file or mend the link')
    return m[1] + to

def markdown(src):
    "Markdown that GitHub shows as meant: links from the top, no `:::` blocks, no {attributes} after a link"
    lines, fence = [], ''
    for l in src.split('\n'):
        m = re_fence.match(l)
        if m and not fence: fence = m[1]
        elif m and m[1].startswith(fence) and l.strip() == m[1]: fence = ''
        elif not fence:
            if l.startswith(':::'): continue
            l = re_link.sub(relink, re.sub(r'(\]\([^)]*\))\{[^}]*\}', r'\1', l))
        lines.append(l)
    return '\n'.join(lines).strip()

def output(o, i):
    "One stored output of cell `i`"
    kind = o['output_type']
    if kind == 'error': sys.exit(f'nbs/index.ipynb cell {i} stores an error: run the notebook again')
    if kind == 'stream': return fenced(text(o['text'])) if o['name'] == 'stdout' else ''
    data = o.get('data', {})
    if 'text/markdown' in data: return markdown(text(data['text/markdown']))
    if any(k.startswith('image/') for k in data):
        sys.exit(f'nbs/index.ipynb cell {i} stores a picture: save it in nbs/images/ and link to it in markdown')
    return fenced(text(data['text/plain'])) if 'text/plain' in data else ''

def parts(cell, i):
    "What cell `i` puts into the README"
    src = text(cell['source'])
    if cell['cell_type'] == 'markdown':
        if i == first: src = re.sub(r'^(- [\w-]+:.*(\n|$))+\n*', '', src, flags=re.M)  # nbdev's page options
        return [markdown(src)]
    if cell['cell_type'] != 'code': return []
    lines = src.split('\n')
    d = {m[1]: m[2].lower() for m in map(re_directive.match, lines) if m}
    if 'hide' in d or 'default_exp' in d or d.get('include') == 'false': return []
    code = '\n'.join(l for l in lines if not re_directive.match(l)).strip('\n')
    res = [fenced(code, 'python')] if code and d.get('echo') != 'false' else []
    return res + ([] if d.get('output') == 'false' else [output(o, i) for o in cell.get('outputs', [])])

def command(word):
    "README's one fenced line that starts with `pip install` and holds `word`"
    if not readme.exists(): sys.exit('README.md is not there: run .ci/readme.py')
    found, fence = [], ''
    for l in readme.read_text(encoding='utf-8').split('\n'):
        m = re_fence.match(l)
        if m: fence = '' if fence else m[1]
        elif fence and l.strip().startswith('pip install') and re.search(rf'\b{word}\b', l): found.append(l.strip())
    if len(set(found)) != 1:
        sys.exit(f'README.md needs one fenced line with "pip install" and "{word}" in it, found {len(set(found))}')
    return found[0]

if '--command' in sys.argv: sys.exit(print(command(sys.argv[-1])))
if not nb_path.exists(): sys.exit('nbs/index.ipynb is not there: README.md is made from it')
cells = json.loads(nb_path.read_text(encoding='utf-8'))['cells']
first = next((i for i,c in enumerate(cells) if c['cell_type'] == 'markdown'), None)
if first is None or not text(cells[first]['source']).startswith('# '): sys.exit('nbs/index.ipynb must begin with a markdown cell "# Title"')
blocks = [p for i,c in enumerate(cells) for p in parts(c, i) if p]
title, _, rest = '\n\n'.join(blocks).partition('\n')
made = f'{title}\n\n{warning}\n\n{rest.strip()}\n'
if '--check' not in sys.argv: readme.write_text(made, encoding='utf-8')
elif not readme.exists() or readme.read_text(encoding='utf-8') != made:
    sys.exit('README.md is not what nbs/index.ipynb says: run .ci/readme.py')
