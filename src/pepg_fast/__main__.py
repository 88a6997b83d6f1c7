"""``python -m pepg_fast``: see `pepg_fast.cli`."""

from .cli import main

raise SystemExit(main())
