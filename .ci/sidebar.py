#!/usr/bin/env python3
"""Write nbs/sidebar.yml: the chapters of the site, from the notebooks that exist, and the link to the repository, from settings.ini.

    .ci/sidebar.py           write it
    .ci/sidebar.py --check   change nothing; exit 1 with one line if it is out of date
"""
import sys
from nb import cfg, notebooks, root

chapters = {
    'The idea': '00a_*.ipynb',
    'Method': '00_*.ipynb 00b_*.ipynb 01_*.ipynb 01a_*.ipynb 0[2-4]_*.ipynb',
    'Measures': '0[5-8]_*.ipynb 10a_*.ipynb',
    'Uses': '09*_*.ipynb 10_*.ipynb 10b_*.ipynb 11_*.ipynb',
    'Experiments': 'experiments/*.ipynb',
    'Tutorials': 'tutorials/*.ipynb',
    'Results and commands': '1[2-9]*_*.ipynb',
}
out, nbs = root/'nbs/sidebar.yml', notebooks()
found = {k: [n for p in ps.split() for n in nbs if nbs[n] in [*(root/'nbs').glob(p)]] for k,ps in chapters.items()}
if lost := {*nbs} - {'index.ipynb', *sum(found.values(), [])}: sys.exit(f'{min(lost)} belongs to no chapter of the site: name one for it in .ci/sidebar.py')
found['API'] = ['api.ipynb', 'gallery.ipynb']            # made by .ci/docs.py, from all others
text = f"""website:
  sidebar:
    tools:
      - icon: github
        href: {cfg['git_url']}
        text: The repository
    contents:
      - index.ipynb
"""
for k,ns in found.items():
    if ns: text += f'      - section: {k}\n        contents:\n' + ''.join(f'          - {n}\n' for n in ns)
if '--check' not in sys.argv: out.write_text(text, encoding='utf-8')
elif not out.exists() or out.read_text(encoding='utf-8') != text: sys.exit('nbs/sidebar.yml does not list the notebooks that exist: run .ci/sidebar.py')
