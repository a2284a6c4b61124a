"""`sluice agent`: sends what a recorder writes into a folder, and deletes what has arrived.

It runs on machines with little memory, so nothing in this package may import typer, pydantic, httpx
or rich, nor a module that does: the interpreter and the standard library are all it loads.
"""
