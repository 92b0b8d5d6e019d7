"""How well search finds: nDCG@10 over the judged queries, beside `ilike` and a `simple` vector.

The queries and what each listing of the seed is worth to who asks them stand as data in
search_judgements/. Both baselines are given every form that a shop would give them, over the same
rows in both languages, and the aim is measured against the best form of each. Nothing here depends
on the clock or on chance: inside one transaction that is rolled back, search knows the goods of
the seed alone.
"""

import argparse
import csv
import math
import re
import statistics
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench import report
from tests.bench.report import Target
from tests.bench.stand import connect, read_environment, say
from tests.concurrency.shoppers import Admin

JUDGEMENTS = Path(__file__).resolve().parent / "search_judgements"
PAGE, TOP, WORST = 24, 10, 10
ABOVE_ILIKE, ABOVE_SIMPLE = 1.25, 1.10
LEAST_QUERIES = 120
GOOD = 2
"""Grade from which a listing counts as found, for recall and the reciprocal rank."""
OTHER_CHANNEL = {"piece": 1, "carton": 2}
"""Grades that goods lose which are sold the other way than the shopper buys."""

LISTINGS = """
create temporary table judged_listing on commit drop as
select
    l.id, l.external_id, l.channel, g.slug as category, l.name, l.created_at,
    lower(concat_ws(' ', l.name, l.name_fr)) as names,
    lower(
        concat_ws(' ', l.name, l.name_fr, g.name, g.name_fr, l.description, l.description_fr)
    ) as words,
    to_tsvector(
        'simple',
        concat_ws(' ', l.name, l.name_fr, g.name, g.name_fr, l.description, l.description_fr)
    ) as plain,
    setweight(to_tsvector('simple', concat_ws(' ', l.name, l.name_fr)), 'A')
    || setweight(to_tsvector('simple', concat_ws(' ', g.name, g.name_fr)), 'B')
    || setweight(to_tsvector('simple', concat_ws(' ', l.description, l.description_fr)), 'C')
    as weighted
from (
    select
        p.id, p.external_id, 'piece' as channel, p.category_id, p.name, p.name_fr, p.description,
        p.description_fr, p.created_at, p.is_active
    from public.products as p
    union all
    select
        p.id, p.external_id, 'carton', p.category_id, p.name, p.name_fr, p.description,
        p.description_fr, p.created_at, p.is_active
    from public.products_retailer as p
) as l
inner join public.categories as g on l.category_id = g.id
where
    l.is_active
    and l.id = extensions.uuid_generate_v5(
        extensions.uuid_ns_url(), 'mallgram/seed/listing/' || l.external_id
    )
"""
ALONE = (
    "delete from private.search_documents where listing_id not in (select id from judged_listing)",
    "delete from private.search_terms",
    "select private.refresh_search(array(select l.id from judged_listing as l))",
    "select service.count_search(100000)",
    "analyze private.search_documents",
)
SEARCH = (
    "select s.product_id as id from public.search_products("
    "query => %(query)s, language => %(language)s, country => %(country)s, page_size => %(page)s"
    ") as s"
)
ILIKE = (
    "select l.id from judged_listing as l where {} order by l.created_at desc, l.id limit %(page)s"
)
SIMPLE = (
    "select l.id from judged_listing as l where l.{0} @@ {1} "
    "order by ts_rank(l.{0}, {1}) desc, l.created_at desc, l.id limit %(page)s"
)
ALL_WORDS = "plainto_tsquery('simple', %(query)s)"
ANY_WORD = "websearch_to_tsquery('simple', %(any)s)"
FORMS: Mapping[str, Mapping[str, str]] = {
    "search": {"search_products": SEARCH},
    "ilike": {
        "the query in a name": ILIKE.format("l.names ilike %(whole)s"),
        "each word in a name": ILIKE.format("l.names ilike all(%(words)s)"),
        "each word in any text": ILIKE.format("l.words ilike all(%(words)s)"),
        "any word in a name": ILIKE.format("l.names ilike any(%(words)s)"),
    },
    "simple": {
        "all words": SIMPLE.format("plain", ALL_WORDS),
        "any word": SIMPLE.format("plain", ANY_WORD),
        "all words, weighted": SIMPLE.format("weighted", ALL_WORDS),
        "any word, weighted": SIMPLE.format("weighted", ANY_WORD),
    },
}


@dataclass(frozen=True)
class Query:
    """What somebody typed, and what each listing is worth to them by its id."""

    id: str
    part: str
    kind: str
    language: str
    country: str
    text: str
    grades: Mapping[str, int]


@dataclass(frozen=True)
class Score:
    """How one query was answered."""

    query: Query
    ndcg: float
    recall: float
    reciprocal: float
    first: str | None


def read_rows(name: str) -> list[dict[str, str]]:
    """A file of the judgements, row by row."""
    with (JUDGEMENTS / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def noun_of(listing: Mapping[str, Any]) -> str:
    """What a made listing is, in English, without its adjective and variant; empty for others."""
    if not re.fullmatch(r"(piece|carton)-\d+", listing["external_id"]):
        return ""
    return str(listing["name"]).split(",")[0].partition(" ")[2]


def fits(rule: Mapping[str, str], listing: Mapping[str, Any]) -> bool:
    """Whether a rule of grades.csv speaks of the listing."""
    return (
        (not rule["listing"] or rule["listing"] == listing["external_id"])
        and (not rule["category"] or rule["category"] == listing["category"])
        and (not rule["noun"] or rule["noun"] == listing["noun"])
        and (not rule["with"] or rule["with"] in re.findall(r"\w+", listing["name"].lower()))
    )


def grade(
    rules: Sequence[Mapping[str, str]], buys: str, listings: Sequence[Mapping[str, Any]]
) -> dict[str, int]:
    """Grades above zero by listing. Raises SystemExit for a rule that speaks of nothing.

    The last rule that fits counts. One that names a listing is final; goods of other rules lose
    by being sold the other way than the shopper buys.
    """
    grades: dict[str, int] = {}
    for rule in rules:
        spoken_of = [listing for listing in listings if fits(rule, listing)]
        if not spoken_of:
            raise SystemExit(f"search_judgements: this grades nothing: {dict(rule)}")
        for listing in spoken_of:
            is_other = not rule["listing"] and listing["channel"] != buys
            grades[listing["id"]] = int(rule["grade"]) - is_other * OTHER_CHANNEL[buys]
    return {id_: value for id_, value in grades.items() if value > 0}


def read_queries(listings: Sequence[Mapping[str, Any]]) -> list[Query]:
    """The judged set over these listings. Raises SystemExit when its two files do not agree."""
    rules: dict[str, list[dict[str, str]]] = defaultdict(list)
    for rule in read_rows("grades.csv"):
        rules[rule["query"]].append(rule)
    queries = [
        Query(
            id=row["id"],
            part=row["part"],
            kind=row["kind"],
            language=row["language"],
            country=row["country"],
            text=row["query"],
            grades=grade(rules.pop(row["id"], []), row["buys"], listings),
        )
        for row in read_rows("queries.csv")
    ]
    unlike = [*rules, *(query.id for query in queries if not query.grades)]
    if unlike:
        raise SystemExit(f"search_judgements: query without grades or the reverse: {unlike}")
    return queries


def gain(grades: Sequence[int]) -> float:
    """Discounted gain of grades in the order shown: 2^grade - 1 over log2(place + 1)."""
    return sum((2.0**one - 1) / math.log2(place + 1) for place, one in enumerate(grades, start=1))


def assess(query: Query, found: Sequence[str], names: Mapping[str, str]) -> Score:
    """Measures of one answer, best first; found holds no id twice."""
    seen = [query.grades.get(id_, 0) for id_ in found]
    ideal = sorted(query.grades.values(), reverse=True)
    good = sum(one >= GOOD for one in ideal)
    first_good = next((place for place, one in enumerate(seen, start=1) if one >= GOOD), None)
    return Score(
        query=query,
        ndcg=gain(seen[:TOP]) / gain(ideal[:TOP]),
        recall=sum(one >= GOOD for one in seen[:PAGE]) / min(good, PAGE),
        reciprocal=1 / first_good if first_good is not None else 0.0,
        first=names[found[0]] if found else None,
    )


def ask(admin: Admin, statement: str, query: Query) -> list[str]:
    """Ids in the order shown."""
    words = re.findall(r"\w+", query.text.lower())
    rows = admin.execute(
        statement,
        {
            "query": query.text,
            "language": query.language,
            "country": query.country,
            "page": PAGE,
            "whole": f"%{query.text.lower()}%",
            "words": [f"%{word}%" for word in words],
            "any": " or ".join(words),
        },
    ).fetchall()
    return [str(row["id"]) for row in rows]


def measure(admin: Admin) -> dict[str, dict[str, list[Score]]]:
    """Scores of every form of every side."""
    with admin.transaction(force_rollback=True):
        admin.execute("set local search_path = public, extensions")
        admin.execute(LISTINGS)
        for statement in ALONE:
            admin.execute(statement)
        listings = [
            {**row, "id": str(row["id"])}
            for row in admin.execute("select * from judged_listing order by id").fetchall()
        ]
        listings = [{**listing, "noun": noun_of(listing)} for listing in listings]
        if not listings:
            raise SystemExit("the goods of supabase/seed.sql are not in this database")
        queries = read_queries(listings)
        names = {listing["id"]: listing["name"] for listing in listings}
        return {
            side: {
                form: [assess(query, ask(admin, text, query), names) for query in queries]
                for form, text in forms.items()
            }
            for side, forms in FORMS.items()
        }


def mean(scores: Sequence[Score], figure: str = "ndcg") -> float:
    """Mean of one figure."""
    return statistics.fmean(getattr(score, figure) for score in scores)


def best_form(forms: Mapping[str, Sequence[Score]]) -> str:
    """The form with the highest nDCG."""
    return max(forms, key=lambda form: mean(forms[form]))


def figures(scores: Sequence[Score]) -> dict[str, float]:
    """All means, rounded for the results file."""
    return {
        "ndcg": round(mean(scores, "ndcg"), 4),
        "recall": round(mean(scores, "recall"), 4),
        "mrr": round(mean(scores, "reciprocal"), 4),
    }


def group(scores: Sequence[Score], attribute: str) -> dict[str, list[Score]]:
    """Scores by an attribute of their queries."""
    groups: dict[str, list[Score]] = defaultdict(list)
    for score in scores:
        groups[getattr(score.query, attribute)].append(score)
    return dict(sorted(groups.items()))


def show_groups(sides: Mapping[str, Sequence[Score]]) -> dict[str, Any]:
    """Prints nDCG by part, language and kind of query; the same as numbers."""
    told: dict[str, Any] = {}
    rows: list[list[object]] = []
    for attribute in ("part", "language", "kind"):
        groups = {side: group(scores, attribute) for side, scores in sides.items()}
        for value, scores in groups["search"].items():
            line = {side: round(mean(groups[side][value]), 4) for side in sides}
            told.setdefault(attribute, {})[value] = {"queries": len(scores), **line}
            rows.append([f"{attribute} {value}", len(scores), *map(three, line.values())])
    report.table(["nDCG@10 of", "queries", *sides], rows)
    return told


def three(value: float) -> str:
    """Three digits after the point."""
    return f"{value:.3f}"


def main() -> int:
    """Exit status 0: measured, whatever the figures."""
    parser = argparse.ArgumentParser(prog="search_quality", description=__doc__)
    parser.add_argument("--all", action="store_true", help="every query, worst first")
    asked = parser.parse_args()
    with connect(read_environment()) as admin:
        forms = measure(admin)
    chosen = {side: best_form(of_side) for side, of_side in forms.items()}
    sides = {side: forms[side][form] for side, form in chosen.items()}
    report.table(
        ["side", "form", "nDCG@10", "recall@24", "MRR"],
        [
            [side, form, *(three(value) for value in figures(scores).values())]
            for side, of_side in forms.items()
            for form, scores in of_side.items()
        ],
    )
    say()
    groups = show_groups(sides)
    worst = sorted(sides["search"], key=lambda score: (score.ndcg, score.query.id))
    say()
    report.table(
        ["worst", "query", "nDCG@10", "shown first"],
        [
            [one.query.id, one.query.text, three(one.ndcg), one.first or "nothing"]
            for one in (worst if asked.all else worst[:WORST])
        ],
    )
    ndcg = {side: mean(scores) for side, scores in sides.items()}
    held_out = {side: mean(group(scores, "part")["check"]) for side, scores in sides.items()}
    report.conclude(
        "search_quality",
        {
            "queries": len(worst),
            "forms": {
                side: {form: figures(scores) for form, scores in of_side.items()}
                for side, of_side in forms.items()
            },
            "best": chosen,
            "groups": groups,
            "each": {one.query.id: round(one.ndcg, 4) for one in sides["search"]},
        },
        [
            Target.at_least("nDCG", "judged queries", len(worst), LEAST_QUERIES),
            Target.at_least("nDCG", "over ilike", ndcg["search"] / ndcg["ilike"], ABOVE_ILIKE),
            Target.at_least("nDCG", "over simple", ndcg["search"] / ndcg["simple"], ABOVE_SIMPLE),
            Target.at_least(
                "nDCG",
                "over ilike, held-out queries",
                held_out["search"] / held_out["ilike"],
                ABOVE_ILIKE,
            ),
            Target.at_least(
                "nDCG",
                "over simple, held-out queries",
                held_out["search"] / held_out["simple"],
                ABOVE_SIMPLE,
            ),
        ],
        note=f"ilike: {chosen['ilike']}; simple: {chosen['simple']} (their best forms)",
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
