Traceback (most recent call last):
  File "/tmp/zygote2.py", line 17, in <module>
    try: runpy.run_path(argv[0], run_name='__main__')
         ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "<frozen runpy>", line 291, in run_path
  File "<frozen runpy>", line 98, in _run_module_code
  File "<frozen runpy>", line 88, in _run_code
  File "nbs/13_cli.ipynb", line 5, in <module>
    "execution_count": null,
                       ^^^^
NameError: name 'null' is not defined
ZDONE
