version: str
compiler: str
architecture: str
