"""Entry of the frozen program. Agent and page are started as `lm.exe -m lm_client.agent HOME`: there is no Python."""

import runpy
import sys

from lm_client.cli import main

if sys.argv[1:2] == ["-m"] and sys.argv[2:3] in (["lm_client.agent"], ["lm_client.page"]):
    module = sys.argv[2]
    del sys.argv[1:3]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
else:
    main()
