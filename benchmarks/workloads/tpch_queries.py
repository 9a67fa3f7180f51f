"""The 22 queries of TPC-H as one writes them with dask dataframes, the parameters those of its
validation. Each takes a function that gives a table by name, and returns a table of pandas."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Tables = Callable[[str], Any]
SCALE = 1.0
"""The scale of the tables, of which one query makes a parameter."""


def day(text):
    """Return a date."""
    import pandas

    return pandas.Timestamp(text)


def volume(frame):
    """Return what lines come to."""
    return frame.l_extendedprice * (1 - frame.l_discount)


def ordered(frame, by, ascending=True, first=None):
    """Compute a table, and return its first rows in an order."""
    found = frame.compute().sort_values(by, ascending=ascending).reset_index(drop=True)
    return found if first is None else found.head(first)


def single(name, value):
    """Return a table of one number."""
    import pandas

    return pandas.DataFrame({name: [value]})


def q1(t: Tables):
    """Prices by state of the lines."""
    lines = t("lineitem")
    lines = lines[lines.l_shipdate <= day("1998-09-02")]
    lines = lines.assign(disc_price=volume(lines))
    lines = lines.assign(charge=lines.disc_price * (1 + lines.l_tax))
    found = lines.groupby(["l_returnflag", "l_linestatus"]).agg(
        sum_qty=("l_quantity", "sum"),
        sum_base_price=("l_extendedprice", "sum"),
        sum_disc_price=("disc_price", "sum"),
        sum_charge=("charge", "sum"),
        avg_qty=("l_quantity", "mean"),
        avg_price=("l_extendedprice", "mean"),
        avg_disc=("l_discount", "mean"),
        count_order=("l_orderkey", "count"),
    )
    return ordered(found.reset_index(), ["l_returnflag", "l_linestatus"])


def q2(t: Tables):
    """The cheapest suppliers of some parts in Europe."""
    region = t("region")
    nation = t("nation").merge(
        region[region.r_name == "EUROPE"], left_on="n_regionkey", right_on="r_regionkey"
    )
    supplier = t("supplier").merge(nation, left_on="s_nationkey", right_on="n_nationkey")
    part = t("part")
    part = part[(part.p_size == 15) & part.p_type.str.endswith("BRASS")][["p_partkey", "p_mfgr"]]
    offers = t("partsupp").merge(part, left_on="ps_partkey", right_on="p_partkey")
    offers = offers.merge(supplier, left_on="ps_suppkey", right_on="s_suppkey")
    least = offers.groupby("p_partkey").ps_supplycost.min().reset_index()
    found = offers.merge(least, on=["p_partkey", "ps_supplycost"])
    columns = [
        "s_acctbal",
        "s_name",
        "n_name",
        "p_partkey",
        "p_mfgr",
        "s_address",
        "s_phone",
        "s_comment",
    ]
    by = ["s_acctbal", "n_name", "s_name", "p_partkey"]
    return ordered(found[columns], by, [False, True, True, True], 100)


def q3(t: Tables):
    """The most valuable orders that were not shipped."""
    customer, orders, lines = t("customer"), t("orders"), t("lineitem")
    customer = customer[customer.c_mktsegment == "BUILDING"][["c_custkey"]]
    orders = orders[orders.o_orderdate < day("1995-03-15")]
    orders = orders[["o_orderkey", "o_custkey", "o_orderdate", "o_shippriority"]]
    lines = lines[lines.l_shipdate > day("1995-03-15")]
    lines = lines.assign(revenue=volume(lines))[["l_orderkey", "revenue"]]
    both = orders.merge(customer, left_on="o_custkey", right_on="c_custkey")
    both = lines.merge(both, left_on="l_orderkey", right_on="o_orderkey")
    by = ["l_orderkey", "o_orderdate", "o_shippriority"]
    found = both.groupby(by).revenue.sum().reset_index()
    columns = ["l_orderkey", "revenue", "o_orderdate", "o_shippriority"]
    return ordered(found[columns], ["revenue", "o_orderdate"], [False, True], 10)


def q4(t: Tables):
    """Late orders by priority."""
    orders, lines = t("orders"), t("lineitem")
    orders = orders[
        (orders.o_orderdate >= day("1993-07-01")) & (orders.o_orderdate < day("1993-10-01"))
    ][["o_orderkey", "o_orderpriority"]]
    lines = lines[lines.l_commitdate < lines.l_receiptdate][["l_orderkey"]]
    late = orders.merge(lines, left_on="o_orderkey", right_on="l_orderkey")
    late = late[["o_orderkey", "o_orderpriority"]].drop_duplicates()
    found = late.groupby("o_orderpriority").o_orderkey.count().reset_index()
    return ordered(found, "o_orderpriority")


def q5(t: Tables):
    """Sales within a nation."""
    region, orders, lines = t("region"), t("orders"), t("lineitem")
    nation = t("nation").merge(
        region[region.r_name == "ASIA"], left_on="n_regionkey", right_on="r_regionkey"
    )[["n_nationkey", "n_name"]]
    orders = orders[
        (orders.o_orderdate >= day("1994-01-01")) & (orders.o_orderdate < day("1995-01-01"))
    ][["o_orderkey", "o_custkey"]]
    lines = lines.assign(revenue=volume(lines))[["l_orderkey", "l_suppkey", "revenue"]]
    customer = t("customer")[["c_custkey", "c_nationkey"]]
    customer = customer.merge(nation, left_on="c_nationkey", right_on="n_nationkey")
    both = orders.merge(customer, left_on="o_custkey", right_on="c_custkey")
    both = lines.merge(both, left_on="l_orderkey", right_on="o_orderkey")
    supplier = t("supplier")[["s_suppkey", "s_nationkey"]]
    both = both.merge(
        supplier, left_on=["l_suppkey", "c_nationkey"], right_on=["s_suppkey", "s_nationkey"]
    )
    found = both.groupby("n_name").revenue.sum().reset_index()
    return ordered(found, "revenue", False)


def q6(t: Tables):
    """What small discounts cost."""
    lines = t("lineitem")
    lines = lines[
        (lines.l_shipdate >= day("1994-01-01"))
        & (lines.l_shipdate < day("1995-01-01"))
        & (lines.l_discount > 0.045)
        & (lines.l_discount < 0.075)
        & (lines.l_quantity < 24)
    ]
    return single("revenue", (lines.l_extendedprice * lines.l_discount).sum().compute())


def q7(t: Tables):
    """Trade between two nations by year."""
    lines, nation = t("lineitem"), t("nation")[["n_nationkey", "n_name"]]
    nation = nation[nation.n_name.isin(["FRANCE", "GERMANY"])]
    lines = lines[(lines.l_shipdate >= day("1995-01-01")) & (lines.l_shipdate <= day("1996-12-31"))]
    lines = lines.assign(volume=volume(lines), l_year=lines.l_shipdate.dt.year)
    lines = lines[["l_orderkey", "l_suppkey", "l_year", "volume"]]
    supplier = t("supplier")[["s_suppkey", "s_nationkey"]].merge(
        nation.rename(columns={"n_name": "supp_nation"}),
        left_on="s_nationkey",
        right_on="n_nationkey",
    )[["s_suppkey", "supp_nation"]]
    customer = t("customer")[["c_custkey", "c_nationkey"]].merge(
        nation.rename(columns={"n_name": "cust_nation"}),
        left_on="c_nationkey",
        right_on="n_nationkey",
    )[["c_custkey", "cust_nation"]]
    orders = t("orders")[["o_orderkey", "o_custkey"]]
    orders = orders.merge(customer, left_on="o_custkey", right_on="c_custkey")
    both = lines.merge(supplier, left_on="l_suppkey", right_on="s_suppkey")
    both = both.merge(orders, left_on="l_orderkey", right_on="o_orderkey")
    both = both[both.supp_nation != both.cust_nation]
    by = ["supp_nation", "cust_nation", "l_year"]
    return ordered(both.groupby(by).volume.sum().reset_index(), by)


def q8(t: Tables):
    """A nation's share of a market by year."""
    part, orders, region = t("part"), t("orders"), t("region")
    part = part[part.p_type == "ECONOMY ANODIZED STEEL"][["p_partkey"]]
    lines = t("lineitem")
    lines = lines.assign(volume=volume(lines))
    lines = lines[["l_orderkey", "l_partkey", "l_suppkey", "volume"]]
    lines = lines.merge(part, left_on="l_partkey", right_on="p_partkey")
    orders = orders[
        (orders.o_orderdate >= day("1995-01-01")) & (orders.o_orderdate <= day("1996-12-31"))
    ]
    orders = orders.assign(o_year=orders.o_orderdate.dt.year)[["o_orderkey", "o_custkey", "o_year"]]
    nation = t("nation")
    inside = nation.merge(
        region[region.r_name == "AMERICA"], left_on="n_regionkey", right_on="r_regionkey"
    )[["n_nationkey"]]
    customer = t("customer")[["c_custkey", "c_nationkey"]]
    customer = customer.merge(inside, left_on="c_nationkey", right_on="n_nationkey")[["c_custkey"]]
    supplier = t("supplier")[["s_suppkey", "s_nationkey"]]
    supplier = supplier.merge(
        nation[["n_nationkey", "n_name"]], left_on="s_nationkey", right_on="n_nationkey"
    )[["s_suppkey", "n_name"]]
    both = lines.merge(orders, left_on="l_orderkey", right_on="o_orderkey")
    both = both.merge(customer, left_on="o_custkey", right_on="c_custkey")
    both = both.merge(supplier, left_on="l_suppkey", right_on="s_suppkey")
    both = both.assign(share=both.volume.where(both.n_name == "BRAZIL", 0.0))
    found = both.groupby("o_year").agg({"share": "sum", "volume": "sum"}).reset_index()
    found = found.assign(share=found.share / found.volume)[["o_year", "share"]]
    return ordered(found, "o_year")


def q9(t: Tables):
    """Profit by nation and year."""
    part = t("part")
    part = part[part.p_name.str.contains("green")][["p_partkey"]]
    lines = t("lineitem")
    lines = lines.assign(volume=volume(lines))
    lines = lines[["l_orderkey", "l_partkey", "l_suppkey", "l_quantity", "volume"]]
    lines = lines.merge(part, left_on="l_partkey", right_on="p_partkey")
    offers = t("partsupp")[["ps_partkey", "ps_suppkey", "ps_supplycost"]]
    lines = lines.merge(
        offers, left_on=["l_partkey", "l_suppkey"], right_on=["ps_partkey", "ps_suppkey"]
    )
    supplier = t("supplier")[["s_suppkey", "s_nationkey"]].merge(
        t("nation")[["n_nationkey", "n_name"]], left_on="s_nationkey", right_on="n_nationkey"
    )[["s_suppkey", "n_name"]]
    orders = t("orders")
    orders = orders.assign(o_year=orders.o_orderdate.dt.year)[["o_orderkey", "o_year"]]
    both = lines.merge(supplier, left_on="l_suppkey", right_on="s_suppkey")
    both = both.merge(orders, left_on="l_orderkey", right_on="o_orderkey")
    both = both.assign(amount=both.volume - both.ps_supplycost * both.l_quantity)
    found = both.groupby(["n_name", "o_year"]).amount.sum().reset_index()
    return ordered(found, ["n_name", "o_year"], [True, False])


def q10(t: Tables):
    """Customers who returned most."""
    orders, lines = t("orders"), t("lineitem")
    orders = orders[
        (orders.o_orderdate >= day("1993-10-01")) & (orders.o_orderdate < day("1994-01-01"))
    ][["o_orderkey", "o_custkey"]]
    lines = lines[lines.l_returnflag == "R"]
    lines = lines.assign(revenue=volume(lines))[["l_orderkey", "revenue"]]
    both = lines.merge(orders, left_on="l_orderkey", right_on="o_orderkey")
    customer = t("customer").merge(
        t("nation")[["n_nationkey", "n_name"]], left_on="c_nationkey", right_on="n_nationkey"
    )
    both = both.merge(customer, left_on="o_custkey", right_on="c_custkey")
    rest = ["c_acctbal", "n_name", "c_address", "c_phone", "c_comment"]
    found = both.groupby(["c_custkey", "c_name", *rest]).revenue.sum().reset_index()
    return ordered(found[["c_custkey", "c_name", "revenue", *rest]], "revenue", False, 20)


def q11(t: Tables):
    """The most valuable stock of a nation."""
    nation = t("nation")
    nation = nation[nation.n_name == "GERMANY"][["n_nationkey"]]
    supplier = t("supplier")[["s_suppkey", "s_nationkey"]]
    supplier = supplier.merge(nation, left_on="s_nationkey", right_on="n_nationkey")
    stock = t("partsupp").merge(supplier, left_on="ps_suppkey", right_on="s_suppkey")
    stock = stock.assign(total=stock.ps_supplycost * stock.ps_availqty)
    least = stock.total.sum() * (0.0001 / SCALE)
    found = stock.groupby("ps_partkey").total.sum().reset_index()
    return ordered(found[found.total > least], "total", False)


def q12(t: Tables):
    """Late lines by way and priority."""
    lines = t("lineitem")
    lines = lines[
        lines.l_shipmode.isin(["MAIL", "SHIP"])
        & (lines.l_commitdate < lines.l_receiptdate)
        & (lines.l_shipdate < lines.l_commitdate)
        & (lines.l_receiptdate >= day("1994-01-01"))
        & (lines.l_receiptdate < day("1995-01-01"))
    ][["l_orderkey", "l_shipmode"]]
    orders = t("orders")[["o_orderkey", "o_orderpriority"]]
    both = lines.merge(orders, left_on="l_orderkey", right_on="o_orderkey")
    high = both.o_orderpriority.isin(["1-URGENT", "2-HIGH"])
    both = both.assign(high=high.astype("int64"), low=(~high).astype("int64"))
    return ordered(both.groupby("l_shipmode")[["high", "low"]].sum().reset_index(), "l_shipmode")


def q13(t: Tables):
    """Customers by how often they order."""
    orders = t("orders")
    plain = orders[~orders.o_comment.str.contains("special.*requests", regex=True)]
    customer = t("customer")[["c_custkey"]]
    both = customer.merge(
        plain[["o_orderkey", "o_custkey"]], left_on="c_custkey", right_on="o_custkey", how="left"
    )
    counts = both.groupby("c_custkey").o_orderkey.count().reset_index()
    counts = counts.rename(columns={"o_orderkey": "c_count"})
    found = counts.groupby("c_count").c_custkey.count().reset_index()
    return ordered(found, ["c_custkey", "c_count"], False)


def q14(t: Tables):
    """How much of the revenue was promotion."""
    lines = t("lineitem")
    lines = lines[(lines.l_shipdate >= day("1995-09-01")) & (lines.l_shipdate < day("1995-10-01"))]
    lines = lines.assign(volume=volume(lines))[["l_partkey", "volume"]]
    part = t("part")[["p_partkey", "p_type"]]
    both = lines.merge(part, left_on="l_partkey", right_on="p_partkey")
    promotion = both.volume.where(both.p_type.str.startswith("PROMO"), 0.0)
    return single("promo_revenue", (100.0 * promotion.sum() / both.volume.sum()).compute())


def q15(t: Tables):
    """The supplier of most revenue."""
    lines = t("lineitem")
    lines = lines[(lines.l_shipdate >= day("1996-01-01")) & (lines.l_shipdate < day("1996-04-01"))]
    lines = lines.assign(total=volume(lines))
    revenue = lines.groupby("l_suppkey").total.sum().reset_index()
    revenue = revenue[revenue.total > revenue.total.max() - 0.001]
    supplier = t("supplier")[["s_suppkey", "s_name", "s_address", "s_phone"]]
    both = supplier.merge(revenue, left_on="s_suppkey", right_on="l_suppkey")
    return ordered(both[["s_suppkey", "s_name", "s_address", "s_phone", "total"]], "s_suppkey")


def q16(t: Tables):
    """How many suppliers there are of some kinds of parts."""
    supplier, part = t("supplier"), t("part")
    bad = supplier[supplier.s_comment.str.contains("Customer.*Complaints", regex=True)]
    part = part[
        (part.p_brand != "Brand#45")
        & ~part.p_type.str.startswith("MEDIUM POLISHED")
        & part.p_size.isin([49, 14, 23, 45, 19, 3, 36, 9])
    ][["p_partkey", "p_brand", "p_type", "p_size"]]
    offers = t("partsupp")[["ps_partkey", "ps_suppkey"]]
    both = offers.merge(part, left_on="ps_partkey", right_on="p_partkey")
    both = both.merge(bad[["s_suppkey"]], left_on="ps_suppkey", right_on="s_suppkey", how="left")
    both = both[both.s_suppkey.isna()]
    by = ["p_brand", "p_type", "p_size"]
    found = both.groupby(by).ps_suppkey.nunique().reset_index()
    return ordered(found, ["ps_suppkey", *by], [False, True, True, True])


def q17(t: Tables):
    """What small orders of some parts come to."""
    part = t("part")
    part = part[(part.p_brand == "Brand#23") & (part.p_container == "MED BOX")][["p_partkey"]]
    lines = t("lineitem")[["l_partkey", "l_quantity", "l_extendedprice"]]
    lines = lines.merge(part, left_on="l_partkey", right_on="p_partkey")
    usual = lines.groupby("l_partkey").l_quantity.mean().reset_index()
    both = lines.merge(usual.rename(columns={"l_quantity": "usual"}), on="l_partkey")
    both = both[both.l_quantity < 0.2 * both.usual]
    return single("avg_yearly", (both.l_extendedprice.sum() / 7.0).compute())


def q18(t: Tables):
    """Large orders."""
    quantity = t("lineitem").groupby("l_orderkey").l_quantity.sum(split_out=True).reset_index()
    quantity = quantity[quantity.l_quantity > 300]
    orders = t("orders")[["o_orderkey", "o_custkey", "o_orderdate", "o_totalprice"]]
    both = orders.merge(quantity, left_on="o_orderkey", right_on="l_orderkey")
    customer = t("customer")[["c_custkey", "c_name"]]
    both = both.merge(customer, left_on="o_custkey", right_on="c_custkey")
    columns = ["c_name", "c_custkey", "o_orderkey", "o_orderdate", "o_totalprice", "l_quantity"]
    return ordered(both[columns], ["o_totalprice", "o_orderdate"], [False, True], 100)


def q19(t: Tables):
    """Revenue of some parts in some quantities."""
    lines, part = t("lineitem"), t("part")
    lines = lines[
        lines.l_shipmode.isin(["AIR", "AIR REG"]) & (lines.l_shipinstruct == "DELIVER IN PERSON")
    ]
    lines = lines.assign(volume=volume(lines))[["l_partkey", "l_quantity", "volume"]]
    part = part[part.p_size >= 1][["p_partkey", "p_brand", "p_container", "p_size"]]
    both = lines.merge(part, left_on="l_partkey", right_on="p_partkey")
    chosen = None
    for brand, kind, ends, least, size in (
        ("Brand#12", "SM", "CASE BOX PACK PKG", 1, 5),
        ("Brand#23", "MED", "BAG BOX PKG PACK", 10, 10),
        ("Brand#34", "LG", "CASE BOX PACK PKG", 20, 15),
    ):
        one = (
            (both.p_brand == brand)
            & both.p_container.isin([f"{kind} {end}" for end in ends.split()])
            & both.l_quantity.between(least, least + 10)
            & (both.p_size <= size)
        )
        chosen = one if chosen is None else chosen | one
    return single("revenue", both[chosen].volume.sum().compute())


def q20(t: Tables):
    """Suppliers with too much in stock."""
    lines, part, nation = t("lineitem"), t("part"), t("nation")
    lines = lines[(lines.l_shipdate >= day("1994-01-01")) & (lines.l_shipdate < day("1995-01-01"))]
    sold = lines.groupby(["l_partkey", "l_suppkey"]).l_quantity.sum(split_out=True).reset_index()
    part = part[part.p_name.str.startswith("forest")][["p_partkey"]]
    stock = t("partsupp")[["ps_partkey", "ps_suppkey", "ps_availqty"]]
    stock = stock.merge(part, left_on="ps_partkey", right_on="p_partkey")
    stock = stock.merge(
        sold, left_on=["ps_partkey", "ps_suppkey"], right_on=["l_partkey", "l_suppkey"]
    )
    stock = stock[stock.ps_availqty > 0.5 * stock.l_quantity][["ps_suppkey"]].drop_duplicates()
    nation = nation[nation.n_name == "CANADA"][["n_nationkey"]]
    supplier = t("supplier")[["s_suppkey", "s_name", "s_address", "s_nationkey"]]
    supplier = supplier.merge(nation, left_on="s_nationkey", right_on="n_nationkey")
    both = supplier.merge(stock, left_on="s_suppkey", right_on="ps_suppkey")
    return ordered(both[["s_name", "s_address"]], "s_name")


def q21(t: Tables):
    """Suppliers who alone were late."""
    lines, orders, nation = t("lineitem"), t("orders"), t("nation")
    late = lines[lines.l_receiptdate > lines.l_commitdate][["l_orderkey", "l_suppkey"]]
    every = lines[["l_orderkey", "l_suppkey"]].drop_duplicates(split_out=True)
    every = every.groupby("l_orderkey").l_suppkey.count(split_out=True).reset_index()
    every = every[every.l_suppkey > 1].rename(columns={"l_suppkey": "n"})
    alone = late.drop_duplicates(split_out=True)
    alone = alone.groupby("l_orderkey").l_suppkey.count(split_out=True).reset_index()
    alone = alone[alone.l_suppkey == 1].rename(columns={"l_suppkey": "n2"})
    orders = orders[orders.o_orderstatus == "F"][["o_orderkey"]]
    nation = nation[nation.n_name == "SAUDI ARABIA"][["n_nationkey"]]
    supplier = t("supplier")[["s_suppkey", "s_name", "s_nationkey"]]
    supplier = supplier.merge(nation, left_on="s_nationkey", right_on="n_nationkey")
    both = late.merge(supplier[["s_suppkey", "s_name"]], left_on="l_suppkey", right_on="s_suppkey")
    both = both.merge(every, on="l_orderkey").merge(alone, on="l_orderkey")
    both = both.merge(orders, left_on="l_orderkey", right_on="o_orderkey")
    found = both.groupby("s_name").l_orderkey.count().reset_index()
    return ordered(found, ["l_orderkey", "s_name"], [False, True], 100)


def q22(t: Tables):
    """Customers with money who do not order."""
    customer = t("customer")[["c_custkey", "c_phone", "c_acctbal"]]
    customer = customer.assign(cntrycode=customer.c_phone.str.slice(0, 2))
    customer = customer[customer.cntrycode.isin(["13", "31", "23", "29", "30", "18", "17"])]
    usual = customer[customer.c_acctbal > 0.0].c_acctbal.mean()
    rich = customer[customer.c_acctbal > usual]
    buyers = t("orders")[["o_custkey"]].drop_duplicates(split_out=True)
    both = rich.merge(buyers, left_on="c_custkey", right_on="o_custkey", how="left")
    both = both[both.o_custkey.isna()]
    found = both.groupby("cntrycode").agg(
        numcust=("c_custkey", "count"), totacctbal=("c_acctbal", "sum")
    )
    return ordered(found.reset_index(), "cntrycode")
