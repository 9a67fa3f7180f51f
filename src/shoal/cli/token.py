"""The command `shoal token`: what admits scrapers, programs and people to the pages."""

from __future__ import annotations

import click

from shoal.comm.page_tokens import ONCE, PageTokens

__all__ = ["token"]


@click.command()
@click.option("--once", is_flag=True, help="One that admits one visitor, within twelve hours.")
def token(once: bool) -> None:
    """Print the token that the pages of this cluster admit.

    For scrapers and programs, which send it as "Authorization: Bearer TOKEN", and for the page
    where one logs in. It is made of the cluster's secret, or is the setting
    'shoal.dashboard.token', and admits as long as that stays the same.
    """
    try:
        tokens = PageTokens.configured()
    except (OSError, ValueError) as error:
        raise click.ClickException(str(error)) from error
    click.echo(tokens.make(ONCE) if once else tokens.bearer)
