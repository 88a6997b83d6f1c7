"""The benchmark that `pepg-fast bench` runs and the README's table shows: the host, then pepg-es against pepg_fast."""
