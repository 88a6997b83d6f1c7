"""The benchmark of `pepg-fast bench` and of the README's table: this machine, then pepg-es against pepg_fast."""
