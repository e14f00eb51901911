"""``python -m tinycloud``."""

from tinycloud.cli.main import main

if __name__ == "__main__":
    main()
