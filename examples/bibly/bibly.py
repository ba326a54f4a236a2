"""bibly: a reading list."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from flask import Flask, abort, redirect, render_template, request, url_for

HERE = Path(__file__).parent
VERSION = (HERE / "VERSION").read_text().strip()
INSTANCE = os.environ.get("DYNO", "local")
DATABASE = os.environ.get("BIBLY_DATABASE", "/tmp/bibly.sqlite3")
LONGEST = 200

FIRST_BOOKS = [
    ("The Left Hand of Darkness", "Ursula K. Le Guin", 1),
    ("A Pattern Language", "Christopher Alexander", 0),
    ("The Mythical Man-Month", "Frederick P. Brooks Jr.", 1),
    ("Invisible Cities", "Italo Calvino", 0),
    ("The Periodic Table", "Primo Levi", 0),
]

app = Flask(__name__)


def connect():
    database = sqlite3.connect(DATABASE, timeout=5, isolation_level=None)
    database.row_factory = sqlite3.Row
    return database


def prepare():
    """Creates the table with a few books, unless another process has done it."""
    with closing(connect()) as database:
        database.execute("BEGIN IMMEDIATE")
        database.execute(
            "CREATE TABLE IF NOT EXISTS books ("
            " id INTEGER PRIMARY KEY, title TEXT NOT NULL, author TEXT NOT NULL, is_read INTEGER NOT NULL DEFAULT 0)"
        )
        if not database.execute("SELECT 1 FROM books").fetchone():
            database.executemany("INSERT INTO books (title, author, is_read) VALUES (?, ?, ?)", FIRST_BOOKS)
        database.execute("COMMIT")


prepare()


@app.get("/")
def index():
    with closing(connect()) as database:
        books = database.execute("SELECT * FROM books ORDER BY is_read, id DESC").fetchall()
    return render_template(
        "index.html", books=books, done=sum(book["is_read"] for book in books), version=VERSION, instance=INSTANCE
    )


@app.post("/books")
def add():
    title = request.form.get("title", "").strip()[:LONGEST]
    author = request.form.get("author", "").strip()[:LONGEST]
    if not title:
        abort(400, "A book needs a title.")
    with closing(connect()) as database:
        database.execute("INSERT INTO books (title, author) VALUES (?, ?)", (title, author or "Unknown"))
    return redirect(url_for("index"), 303)


@app.post("/books/<int:book>/toggle")
def toggle(book):
    with closing(connect()) as database:
        if database.execute("UPDATE books SET is_read = 1 - is_read WHERE id = ?", (book,)).rowcount == 0:
            abort(404)
    return redirect(url_for("index"), 303)


@app.post("/books/<int:book>/remove")
def remove(book):
    with closing(connect()) as database:
        database.execute("DELETE FROM books WHERE id = ?", (book,))
    return redirect(url_for("index"), 303)


@app.get("/healthz")
def health():
    with closing(connect()) as database:
        database.execute("SELECT 1")
    return {"status": "ok", "version": VERSION, "instance": INSTANCE}
