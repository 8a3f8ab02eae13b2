"What the built package must be where nbdev is not installed: complete, nothing besides, and each module imports"
import importlib, importlib.metadata as md, importlib.util, pkgutil, sys
from nb import lib, root

if importlib.util.find_spec('nbdev'): sys.exit('nbdev is installed here: this check is about life without it')
package, v, files = importlib.import_module(lib), md.version(lib), {f.as_posix() for f in md.files(lib)}
names = [m.name for m in pkgutil.walk_packages(package.__path__, f'{lib}.')]
for o in names: importlib.import_module(o)
if v != package.__version__: sys.exit(f'{v} was installed, {lib} says {package.__version__}: run nbdev_export')
want = {p.relative_to(root).as_posix() for p in (root/lib).rglob('*.*') if p.suffix in ('.py', '.csv', '.json', '.safetensors')}
if want - files: sys.exit(f'the package lacks {" ".join(sorted(want - files))}')
if extra := {f.split('/')[0] for f in files if f[0] != '.'} - {lib, f'{lib}-{v}.dist-info'}: sys.exit(f'the package also installs {extra}')
print(f'{len(names)} modules, {len(want)} files;', *(f'{o} {md.version(o)}' for o in ('fastai', 'fastcore', 'torch', 'torchvision')))
