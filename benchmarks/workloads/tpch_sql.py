"""The 22 queries of TPC-H as SQL that DuckDB and Polars both understand, with the parameters of its
validation; subqueries that depend on the outer row are joins, as every engine makes of them."""

from __future__ import annotations

_VOLUME = "l_extendedprice * (1 - l_discount)"

SQL = {
    "q1": f"""
SELECT l_returnflag, l_linestatus, SUM(l_quantity) AS sum_qty,
  SUM(l_extendedprice) AS sum_base_price, SUM({_VOLUME}) AS sum_disc_price,
  SUM({_VOLUME} * (1 + l_tax)) AS sum_charge, AVG(l_quantity) AS avg_qty,
  AVG(l_extendedprice) AS avg_price, AVG(l_discount) AS avg_disc, COUNT(*) AS count_order
FROM lineitem WHERE l_shipdate <= DATE '1998-09-02'
GROUP BY l_returnflag, l_linestatus ORDER BY l_returnflag, l_linestatus""",
    "q2": """
WITH offers AS (
  SELECT ps_partkey, ps_supplycost, s_acctbal, s_name, n_name, s_address, s_phone, s_comment
  FROM partsupp JOIN supplier ON ps_suppkey = s_suppkey JOIN nation ON s_nationkey = n_nationkey
  JOIN region ON n_regionkey = r_regionkey WHERE r_name = 'EUROPE'),
least AS (SELECT ps_partkey AS k, MIN(ps_supplycost) AS cost FROM offers GROUP BY ps_partkey)
SELECT s_acctbal, s_name, n_name, p_partkey, p_mfgr, s_address, s_phone, s_comment
FROM part JOIN offers ON p_partkey = ps_partkey
JOIN least ON p_partkey = k AND ps_supplycost = cost
WHERE p_size = 15 AND p_type LIKE '%BRASS'
ORDER BY s_acctbal DESC, n_name, s_name, p_partkey LIMIT 100""",
    "q3": f"""
SELECT l_orderkey, SUM({_VOLUME}) AS revenue, o_orderdate, o_shippriority
FROM customer JOIN orders ON c_custkey = o_custkey JOIN lineitem ON o_orderkey = l_orderkey
WHERE c_mktsegment = 'BUILDING' AND o_orderdate < DATE '1995-03-15'
  AND l_shipdate > DATE '1995-03-15'
GROUP BY l_orderkey, o_orderdate, o_shippriority ORDER BY revenue DESC, o_orderdate LIMIT 10""",
    "q4": """
WITH late AS (SELECT DISTINCT l_orderkey FROM lineitem WHERE l_commitdate < l_receiptdate)
SELECT o_orderpriority, COUNT(*) AS order_count
FROM orders JOIN late ON o_orderkey = l_orderkey
WHERE o_orderdate >= DATE '1993-07-01' AND o_orderdate < DATE '1993-10-01'
GROUP BY o_orderpriority ORDER BY o_orderpriority""",
    "q5": f"""
SELECT n_name, SUM({_VOLUME}) AS revenue
FROM region JOIN nation ON r_regionkey = n_regionkey JOIN customer ON n_nationkey = c_nationkey
JOIN orders ON c_custkey = o_custkey JOIN lineitem ON o_orderkey = l_orderkey
JOIN supplier ON l_suppkey = s_suppkey AND n_nationkey = s_nationkey
WHERE r_name = 'ASIA' AND o_orderdate >= DATE '1994-01-01' AND o_orderdate < DATE '1995-01-01'
GROUP BY n_name ORDER BY revenue DESC""",
    "q6": """
SELECT SUM(l_extendedprice * l_discount) AS revenue FROM lineitem
WHERE l_shipdate >= DATE '1994-01-01' AND l_shipdate < DATE '1995-01-01'
  AND l_discount > 0.045 AND l_discount < 0.075 AND l_quantity < 24""",
    "q7": f"""
WITH one AS (SELECT n_nationkey AS k1, n_name AS supp_nation FROM nation),
other AS (SELECT n_nationkey AS k2, n_name AS cust_nation FROM nation),
shipping AS (
  SELECT supp_nation, cust_nation, EXTRACT(year FROM l_shipdate) AS l_year, {_VOLUME} AS volume
  FROM supplier JOIN lineitem ON s_suppkey = l_suppkey JOIN orders ON l_orderkey = o_orderkey
  JOIN customer ON o_custkey = c_custkey JOIN one ON s_nationkey = k1
  JOIN other ON c_nationkey = k2
  WHERE l_shipdate >= DATE '1995-01-01' AND l_shipdate <= DATE '1996-12-31'
    AND ((supp_nation = 'FRANCE' AND cust_nation = 'GERMANY')
      OR (supp_nation = 'GERMANY' AND cust_nation = 'FRANCE')))
SELECT supp_nation, cust_nation, l_year, SUM(volume) AS revenue FROM shipping
GROUP BY supp_nation, cust_nation, l_year ORDER BY supp_nation, cust_nation, l_year""",
    "q8": f"""
WITH one AS (SELECT n_nationkey AS k1, n_regionkey AS r1 FROM nation),
other AS (SELECT n_nationkey AS k2, n_name AS nation_name FROM nation),
sales AS (
  SELECT EXTRACT(year FROM o_orderdate) AS o_year, {_VOLUME} AS volume, nation_name
  FROM part JOIN lineitem ON p_partkey = l_partkey JOIN supplier ON l_suppkey = s_suppkey
  JOIN orders ON l_orderkey = o_orderkey JOIN customer ON o_custkey = c_custkey
  JOIN one ON c_nationkey = k1 JOIN region ON r1 = r_regionkey
  JOIN other ON s_nationkey = k2
  WHERE r_name = 'AMERICA' AND o_orderdate >= DATE '1995-01-01'
    AND o_orderdate <= DATE '1996-12-31' AND p_type = 'ECONOMY ANODIZED STEEL')
SELECT o_year, SUM(CASE WHEN nation_name = 'BRAZIL' THEN volume ELSE 0.0 END) / SUM(volume) AS share
FROM sales GROUP BY o_year ORDER BY o_year""",
    "q9": f"""
WITH profit AS (
  SELECT n_name AS nation_name, EXTRACT(year FROM o_orderdate) AS o_year,
    {_VOLUME} - ps_supplycost * l_quantity AS amount
  FROM part JOIN lineitem ON p_partkey = l_partkey
  JOIN partsupp ON l_partkey = ps_partkey AND l_suppkey = ps_suppkey
  JOIN supplier ON l_suppkey = s_suppkey JOIN orders ON l_orderkey = o_orderkey
  JOIN nation ON s_nationkey = n_nationkey WHERE p_name LIKE '%green%')
SELECT nation_name, o_year, SUM(amount) AS sum_profit FROM profit
GROUP BY nation_name, o_year ORDER BY nation_name, o_year DESC""",
    "q10": f"""
SELECT c_custkey, c_name, SUM({_VOLUME}) AS revenue, c_acctbal, n_name, c_address, c_phone,
  c_comment
FROM customer JOIN orders ON c_custkey = o_custkey JOIN lineitem ON o_orderkey = l_orderkey
JOIN nation ON c_nationkey = n_nationkey
WHERE o_orderdate >= DATE '1993-10-01' AND o_orderdate < DATE '1994-01-01' AND l_returnflag = 'R'
GROUP BY c_custkey, c_name, c_acctbal, c_phone, n_name, c_address, c_comment
ORDER BY revenue DESC LIMIT 20""",
    "q11": """
WITH stock AS (
  SELECT ps_partkey, ps_supplycost * ps_availqty AS amount
  FROM partsupp JOIN supplier ON ps_suppkey = s_suppkey JOIN nation ON s_nationkey = n_nationkey
  WHERE n_name = 'GERMANY'),
whole AS (SELECT SUM(amount) * {fraction} AS least FROM stock),
parts AS (SELECT ps_partkey, SUM(amount) AS total FROM stock GROUP BY ps_partkey)
SELECT ps_partkey, total FROM parts CROSS JOIN whole WHERE total > least ORDER BY total DESC""",
    "q12": """
SELECT l_shipmode,
  SUM(CASE WHEN o_orderpriority = '1-URGENT' OR o_orderpriority = '2-HIGH' THEN 1 ELSE 0 END)
    AS high_line_count,
  SUM(CASE WHEN o_orderpriority <> '1-URGENT' AND o_orderpriority <> '2-HIGH' THEN 1 ELSE 0 END)
    AS low_line_count
FROM orders JOIN lineitem ON o_orderkey = l_orderkey
WHERE l_shipmode IN ('MAIL', 'SHIP') AND l_commitdate < l_receiptdate
  AND l_shipdate < l_commitdate AND l_receiptdate >= DATE '1994-01-01'
  AND l_receiptdate < DATE '1995-01-01'
GROUP BY l_shipmode ORDER BY l_shipmode""",
    "q13": """
WITH plain AS (
  SELECT o_orderkey, o_custkey FROM orders WHERE o_comment NOT LIKE '%special%requests%'),
counts AS (
  SELECT c_custkey, COUNT(o_orderkey) AS c_count
  FROM customer LEFT JOIN plain ON c_custkey = o_custkey GROUP BY c_custkey)
SELECT c_count, COUNT(*) AS custdist FROM counts GROUP BY c_count
ORDER BY custdist DESC, c_count DESC""",
    "q14": f"""
SELECT 100.0 * SUM(CASE WHEN p_type LIKE 'PROMO%' THEN {_VOLUME} ELSE 0.0 END)
  / SUM({_VOLUME}) AS promo_revenue
FROM lineitem JOIN part ON l_partkey = p_partkey
WHERE l_shipdate >= DATE '1995-09-01' AND l_shipdate < DATE '1995-10-01'""",
    "q15": f"""
WITH revenue AS (
  SELECT l_suppkey, SUM({_VOLUME}) AS total FROM lineitem
  WHERE l_shipdate >= DATE '1996-01-01' AND l_shipdate < DATE '1996-04-01' GROUP BY l_suppkey),
most AS (SELECT MAX(total) AS top FROM revenue)
SELECT s_suppkey, s_name, s_address, s_phone, total
FROM supplier JOIN revenue ON s_suppkey = l_suppkey CROSS JOIN most
WHERE total > top - 0.001 ORDER BY s_suppkey""",
    "q16": """
WITH bad AS (
  SELECT s_suppkey FROM supplier WHERE s_comment LIKE '%Customer%Complaints%')
SELECT p_brand, p_type, p_size, COUNT(DISTINCT ps_suppkey) AS supplier_cnt
FROM partsupp JOIN part ON p_partkey = ps_partkey LEFT JOIN bad ON ps_suppkey = s_suppkey
WHERE s_suppkey IS NULL AND p_brand <> 'Brand#45' AND p_type NOT LIKE 'MEDIUM POLISHED%'
  AND p_size IN (49, 14, 23, 45, 19, 3, 36, 9)
GROUP BY p_brand, p_type, p_size ORDER BY supplier_cnt DESC, p_brand, p_type, p_size""",
    "q17": """
WITH few AS (
  SELECT p_partkey FROM part WHERE p_brand = 'Brand#23' AND p_container = 'MED BOX'),
lines AS (
  SELECT l_partkey, l_quantity, l_extendedprice FROM lineitem JOIN few ON l_partkey = p_partkey),
small AS (SELECT l_partkey AS k, 0.2 * AVG(l_quantity) AS least FROM lines GROUP BY l_partkey)
SELECT SUM(l_extendedprice) / 7.0 AS avg_yearly FROM lines JOIN small ON l_partkey = k
WHERE l_quantity < least""",
    "q18": """
WITH large AS (
  SELECT l_orderkey, SUM(l_quantity) AS quantity FROM lineitem GROUP BY l_orderkey
  HAVING SUM(l_quantity) > 300)
SELECT c_name, c_custkey, o_orderkey, o_orderdate, o_totalprice, quantity
FROM large JOIN orders ON l_orderkey = o_orderkey JOIN customer ON o_custkey = c_custkey
ORDER BY o_totalprice DESC, o_orderdate LIMIT 100""",
    "q19": f"""
SELECT SUM({_VOLUME}) AS revenue FROM lineitem JOIN part ON p_partkey = l_partkey
WHERE l_shipmode IN ('AIR', 'AIR REG') AND l_shipinstruct = 'DELIVER IN PERSON' AND p_size >= 1
  AND ((p_brand = 'Brand#12' AND p_container IN ('SM CASE', 'SM BOX', 'SM PACK', 'SM PKG')
      AND l_quantity >= 1 AND l_quantity <= 11 AND p_size <= 5)
    OR (p_brand = 'Brand#23' AND p_container IN ('MED BAG', 'MED BOX', 'MED PKG', 'MED PACK')
      AND l_quantity >= 10 AND l_quantity <= 20 AND p_size <= 10)
    OR (p_brand = 'Brand#34' AND p_container IN ('LG CASE', 'LG BOX', 'LG PACK', 'LG PKG')
      AND l_quantity >= 20 AND l_quantity <= 30 AND p_size <= 15))""",
    "q20": """
WITH sold AS (
  SELECT l_partkey, l_suppkey, 0.5 * SUM(l_quantity) AS half FROM lineitem
  WHERE l_shipdate >= DATE '1994-01-01' AND l_shipdate < DATE '1995-01-01'
  GROUP BY l_partkey, l_suppkey),
forest AS (SELECT p_partkey FROM part WHERE p_name LIKE 'forest%'),
having_more AS (
  SELECT DISTINCT ps_suppkey FROM partsupp JOIN forest ON ps_partkey = p_partkey
  JOIN sold ON ps_partkey = l_partkey AND ps_suppkey = l_suppkey WHERE ps_availqty > half)
SELECT s_name, s_address FROM supplier JOIN having_more ON s_suppkey = ps_suppkey
JOIN nation ON s_nationkey = n_nationkey WHERE n_name = 'CANADA' ORDER BY s_name""",
    "q21": """
WITH suppliers AS (
  SELECT l_orderkey AS k, COUNT(DISTINCT l_suppkey) AS n FROM lineitem GROUP BY l_orderkey),
late AS (SELECT l_orderkey, l_suppkey FROM lineitem WHERE l_receiptdate > l_commitdate),
late_suppliers AS (
  SELECT l_orderkey AS k2, COUNT(DISTINCT l_suppkey) AS n2 FROM late GROUP BY l_orderkey)
SELECT s_name, COUNT(*) AS numwait
FROM late JOIN suppliers ON l_orderkey = k JOIN late_suppliers ON l_orderkey = k2
JOIN orders ON l_orderkey = o_orderkey JOIN supplier ON l_suppkey = s_suppkey
JOIN nation ON s_nationkey = n_nationkey
WHERE n > 1 AND n2 = 1 AND o_orderstatus = 'F' AND n_name = 'SAUDI ARABIA'
GROUP BY s_name ORDER BY numwait DESC, s_name LIMIT 100""",
    "q22": """
WITH few AS (
  SELECT c_custkey, SUBSTR(c_phone, 1, 2) AS cntrycode, c_acctbal FROM customer
  WHERE SUBSTR(c_phone, 1, 2) IN ('13', '31', '23', '29', '30', '18', '17')),
usual AS (SELECT AVG(c_acctbal) AS mean FROM few WHERE c_acctbal > 0.0),
buyers AS (SELECT DISTINCT o_custkey FROM orders)
SELECT cntrycode, COUNT(*) AS numcust, SUM(c_acctbal) AS totacctbal
FROM few CROSS JOIN usual LEFT JOIN buyers ON c_custkey = o_custkey
WHERE c_acctbal > mean AND o_custkey IS NULL GROUP BY cntrycode ORDER BY cntrycode""",
}


def sql(query: str, scale: float) -> str:
    """Return the text of a query for tables of that scale."""
    text = SQL[query]
    return text.replace("{fraction}", f"{0.0001 / scale:.10f}")
