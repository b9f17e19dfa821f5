"""Options and changes of tasks as the text that kedge reads, and functions made of the descriptions of options."""

import inspect
import json
import keyword

import numpy as np


def toml(value):
    """Returns a value as TOML."""
    if isinstance(value, (bool, np.bool_)):
        return "true" if value else "false"
    if isinstance(value, (int, np.integer)):
        return str(int(value))
    if isinstance(value, (float, np.floating)):
        return repr(float(value))
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, (list, tuple, np.ndarray)):
        return "[" + ", ".join(toml(entry) for entry in value) + "]"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(str(key))} = {toml(entry)}" for key, entry in value.items()) + " }"
    raise TypeError(f"{value!r}: must be a number, a text, true or false, a list or a dictionary of these")


def argument(option):
    """Returns the name of an option as that of an argument: lambda is lambda_."""
    return option + "_" if keyword.iskeyword(option) else option


def settings(options):
    """Returns options as the arguments of --set."""
    return [f"{name[:-1] if keyword.iskeyword(name[:-1]) else name}={toml(value)}" for name, value in options.items()]


def changes(values, prefix=""):
    """Returns the changes of a task's keys, tables entry by entry: [("actions.limit", "10.0")]."""
    found = []
    for key, value in values.items():
        if isinstance(value, dict):
            found += changes(value, f"{prefix}{key}.")
        else:
            found.append((prefix + key, toml(value)))
    return found


def trainer(of, summary, options, train):
    """Returns train(task, of, ...) as a function with the algorithm's options in its signature and documentation."""

    def algorithm(task, seed=1, *, threads=None, out=None, force=False, callback=None, **given):
        return train(task, of, seed, threads=threads, out=out, force=force, callback=callback, **given)

    lines = [f"Learns a policy by {of}: {summary}.", "", "What kedge.train says holds. Options, with their defaults:", ""]
    only = inspect.Parameter.KEYWORD_ONLY
    its = inspect.signature(train)
    own = [parameter for name, parameter in its.parameters.items() if name not in ("algorithm", "options")]
    for option in options:
        unit = f", {option['unit']}" if option["unit"] else ""
        source = f" ({option['source']})" if option["source"] else ""
        name = argument(option["name"])
        lines.append(f"{name} = {option['default']}    {option['allowed']}{unit}")
        lines.append(f"    {option['meaning']}{source}")
        own.append(inspect.Parameter(name, only, default=Default(option["default"])))
    algorithm.__name__ = algorithm.__qualname__ = of
    algorithm.__doc__ = "\n".join(lines)
    algorithm.__module__ = train.__module__
    algorithm.__signature__ = inspect.Signature(own, return_annotation=its.return_annotation)
    return algorithm


class Default:
    """A default in a signature, as kedge writes it."""

    def __init__(self, text):
        self.text = text

    def __repr__(self):
        return self.text
