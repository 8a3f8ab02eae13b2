#!/usr/bin/env python3
"""Make README.md from nbs/index.ipynb. Nothing is executed and nothing but Python is needed, so it comes out the same everywhere.

    .ci/readme.py            write README.md
    .ci/readme.py --check    change nothing; exit 1 with one line if README.md is not what the notebook says

Kept: markdown, code, and outputs as markdown or plain text, but for what `hide`, `include`, `echo` and `output` leave out.
Pictures are files in nbs/images/ that the notebook links to.
"""
import posixpath, re, sys
from nb import fenced, parts, read, root, text

readme, warning = root/'README.md', '<!-- Made from nbs/index.ipynb by .ci/readme.py: edit the notebook, not this file. -->'

def relink(m):
    "A link that holds from nbs/, made to hold from the top of the repository"
    if re.match(r'[a-z][a-z0-9+.-]*:|[#/]', m[2], re.I): return m[0]
    to = posixpath.normpath(posixpath.join('nbs', m[2]))
    if not (root/to.split('#')[0]).exists(): sys.exit(f'nbs/index.ipynb links to {to}, which is not there: add the file or mend the link')
    return m[1] + to

def prose(s):
    "Markdown that GitHub shows as meant: no {attributes} after a link, no `:::` blocks, links from the top"
    s = re.sub(r'^:::.*\n?', '', re.sub(r'(\]\([^)]*\))\{[^}]*\}', r'\1', s), flags=re.M)
    return re.sub(r'(\]\(|\b(?:src|href)=")([^)\s"]+)', relink, s)

def markdown(s):
    blocks = re.split(r'(^ *```.*?^ *```+ *$)', s, flags=re.M|re.S)                             # every second one is code
    return ''.join(b if i % 2 else prose(b) for i,b in enumerate(blocks)).strip()

def output(o, _):
    data = o.get('data', {'text/plain': o.get('text', '')})
    if o['output_type'] == 'error': sys.exit('nbs/index.ipynb stores an error: run the notebook again')
    if any(k.startswith('image/') for k in data): sys.exit('nbs/index.ipynb stores a picture: save it in nbs/images/ and link to it in markdown')
    return markdown(text(data['text/markdown'])) if 'text/markdown' in data else fenced(text(data.get('text/plain', '')).strip('\n'))

def command(word):
    "README's one fenced line that starts with `pip install` and holds `word`"
    found = {*re.findall(rf'^```sh\n(pip install .*\b{word}\b.*)\n```', readme.read_text(encoding='utf-8'), re.M)}
    if len(found) != 1: sys.exit(f'README.md needs one fenced line with "pip install" and "{word}" in it, found {len(found)}')
    return found.pop()

if __name__ == '__main__':
    cells = read(root/'nbs/index.ipynb')['cells']
    title, _, rest = '\n\n'.join(p for c in cells for p in parts(c, output, markdown) if p).partition('\n')
    if not title.startswith('# '): sys.exit('nbs/index.ipynb must begin with a markdown cell "# Title"')
    made = f'{title}\n\n{warning}\n\n{rest.strip()}\n'
    if '--check' not in sys.argv: readme.write_text(made, encoding='utf-8')
    elif not readme.exists() or readme.read_text(encoding='utf-8') != made: sys.exit('README.md is not what nbs/index.ipynb says: run .ci/readme.py')
