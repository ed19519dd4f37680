"""``lm ui``."""

from __future__ import annotations

import click

from lm_client.home import Home


@click.command("ui")
@click.option("--print", "only_print", is_flag=True, help="Print the link instead of opening it; it works once.")
@click.option("--foreground", is_flag=True, help="Be the page until Ctrl-C.")
@click.pass_obj
def ui_command(home_option: str | None, only_print: bool, foreground: bool) -> int:
    """Open the local page in the browser."""
    from lm_client.page.running import link_to_page, serve

    home = Home.find(home_option)
    if foreground:
        return serve(home)
    link = link_to_page(home)
    if only_print:
        click.echo(link)
    elif click.launch(link) != 0:
        click.echo(f"There is no browser that could be opened from here. The link works once, for a minute: {link}")
    return 0
