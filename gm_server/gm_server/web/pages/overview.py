"""The overview: the tree of domains with what is online, who is connected, what wants attention."""

from __future__ import annotations

from typing import Final

from starlette.responses import Response

from gm_server.access.actors import is_within
from gm_server.acts.overview import Node, Tree, tree
from gm_server.web.visits import Visit

GET: Final = ["GET"]


async def overview(visit: Visit) -> Response:
    """Show the overview."""
    found = await _tree(visit)
    online_ids = visit.live.online_ids()
    sessions = [session for session in visit.live.sessions() if _is_seen(visit, session.appliance_path)]
    users = visit.live.users() if visit.by.seen_domains is None else []
    return visit.show(
        "overview.html",
        tree=found,
        online=_online(found, visit, online_ids),
        online_ids=online_ids,
        sessions=sorted(sessions, key=lambda session: session.opened_at),
        busy={session.appliance_id for session in sessions},
        users=users,
    )


async def _tree(visit: Visit) -> Tree:
    """Return the tree; who sees everything shares it with the others who do, as long as nothing is written."""
    sees_all, writes = visit.by.seen_domains is None, visit.portal.store.writes
    kept = visit.portal.whole_tree
    if sees_all and kept is not None and kept[0] == writes:
        return kept[1]
    found = await visit.read(tree, visit.now)
    if sees_all:
        visit.portal.whole_tree = (writes, found)
    return found


def _online(found: Tree, visit: Visit, online_ids: frozenset[str]) -> dict[str, int]:
    """Count who is online, in each domain and below; under an empty path, in all."""
    counts: dict[str, int] = {"": 0}
    if found.has_tiles:
        by_domain = {node.path: sum(tile.id in online_ids for tile in node.tiles) for node in found.nodes}
    else:
        by_domain = {path: n for path, n in visit.live.online_by_domain().items() if _sees(found.nodes, path)}
    for path, count in by_domain.items():
        levels = path.split("/")
        for ancestor in ("", *("/".join(levels[:depth]) for depth in range(1, len(levels) + 1))):
            counts[ancestor] = counts.get(ancestor, 0) + count
    return counts


def _sees(nodes: tuple[Node, ...], path: str) -> bool:
    return any(is_within(path, node.path) for node in nodes)


def _is_seen(visit: Visit, appliance_path: str) -> bool:
    domain = appliance_path.rpartition("/")[0]
    seen = visit.by.seen_domains
    return seen is None or any(is_within(domain, path) for path in seen)


PAGES: Final = (("/", overview, GET),)
