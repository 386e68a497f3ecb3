"""What would become of a job, in plain words: `run --dry-run`."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from cli.rendering import facts, parameter_lines, plain, table, to_stderr, to_stdout, usd
from client.documents import Quote, QuotedOffer


def tell(quote: Quote) -> None:
    """Print where it would go and for how much, who else may make it, and who may not."""
    console = to_stdout()
    console.print(_where(quote), soft_wrap=True)
    for obstacle in quote["obstacles"]:
        console.print(plain(obstacle), soft_wrap=True)
    _print_section(console, "Who", _offers(quote))
    _print_section(console, "Parameters", facts(parameter_lines(quote["parameters"])))
    if quote["notice"]:
        to_stderr().print(plain(quote["notice"]), style="bright_black")
    to_stderr().print("Nothing was queued.", style="bright_black")


def _where(quote: Quote) -> Text:
    if quote["goes_to"] is None:
        return plain(
            f"It would wait: {quote['first_choice']} is its first choice, and nobody would take it now."
        )
    [offer] = [one for one in quote["offers"] if one["provider"] == quote["goes_to"]]
    price = "nobody knows its price" if offer["price_usd"] is None else f"for about {usd(offer['price_usd'])}"
    first = "" if offer["rank"] == 1 else f", since {quote['first_choice']} would not take it"
    return plain(f"It would go to {offer['provider']} now{first}; {price}.")


def _offers(quote: Quote) -> Table:
    rows = table("#>", "provider", "price>", "")
    for offer in quote["offers"]:
        rank = "" if offer["rank"] is None else str(offer["rank"])
        price = "unknown" if offer["price_usd"] is None else usd(offer["price_usd"])
        rows.add_row(rank, plain(offer["provider"]), price, plain(_remark(offer)))
    return rows


def _remark(offer: QuotedOffer) -> str:
    if not offer["fits"]:
        return f"cannot make it: {offer['why_not']}"
    return "" if offer["obstacle"] is None else f"not now: {offer['obstacle']}"


def _print_section(console: Console, title: str, rows: Table) -> None:
    console.print()
    console.print(title, style="bold")
    console.print(rows)
