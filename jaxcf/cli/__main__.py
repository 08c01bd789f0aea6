"""`python -m jaxcf.cli`, where the script of that name isn't on the path."""

from jaxcf.cli.main import script

if __name__ == "__main__":
    script()
