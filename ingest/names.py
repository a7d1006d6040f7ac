"""Names for runs that were given none: two words and a number, easy to say and to tell apart."""

from __future__ import annotations

import random

_QUALITIES = """
able agile amber ample apt arctic azure balmy bold brave brisk bronze calm candid clear clever
copper coral crisp daring deep deft eager early fair fleet fond fresh gentle glad golden grand
green handy hardy hazel honest humble indigo ivory jade jolly keen kind lively loyal lucid lunar
mellow merry mild misty modest neat nimble noble opal patient placid polite proud prudent quick
quiet rapid robust rosy rustic sandy scarlet serene sharp silver sleek smart snowy solar solid spry
stable steady stoic sturdy subtle sunny swift tidal tidy trusty vivid warm wise
""".split()  # noqa: SIM905
_THINGS = """
alder aspen badger basin bay beaver birch brook canal canyon cedar cliff cove crane creek current
delta dune eddy egret elm estuary falls fern finch fjord ford geyser glacier glen gorge grove gull
harbor heron hill inlet island kelp kestrel kingfisher lagoon lake larch ledge linden lock maple
marsh marten meadow mill moor moss oak otter owl pike pine plover pond pool quarry rapid raven reed
reef ridge rill river robin salmon shoal shore sluice spring spruce stork strait stream swan teal
tern tide trout vale vole wader weir wheel willow wren
""".split()  # noqa: SIM905


def run_name() -> str:
    """A name such as `swift-otter-412`. Not unique: ids are."""
    # A generator of its own: a name must not move the random numbers of a seeded training.
    draw = random.SystemRandom()
    return f"{draw.choice(_QUALITIES)}-{draw.choice(_THINGS)}-{draw.randrange(1000)}"
