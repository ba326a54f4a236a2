"""A package of the same repository, which the app depends on."""


def greet(name):
    return f"Hello, {name}, from uv!\n"
