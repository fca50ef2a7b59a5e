"""The text that a scrape gets, as Prometheus' own parser reads it."""

from prometheus_client.parser import text_string_to_metric_families

from tidings.kafka.metrics.exposition import Family, Histogram, Sample, render


def test_labels_and_numbers_come_out_as_they_went_in() -> None:
    labels = {"topic": 'a "quoted"\\ name\nin two lines', "partition": "0"}
    families = [
        Family("a", "gauge", "What it is.", [Sample(2**53, labels), Sample(0.25), Sample(-1)]),
        Family("none", "counter", "Nothing.", []),
    ]
    found, nothing = text_string_to_metric_families(render(families).decode())
    assert [(one.labels, one.value) for one in found.samples] == [
        (labels, 2**53),
        ({}, 0.25),
        ({}, -1),
    ]
    assert (found.name, found.type, found.documentation) == ("a", "gauge", "What it is.")
    assert nothing.samples == []


def test_histogram_counts_what_is_at_most_as_large_as_each_bound() -> None:
    histogram = Histogram((1, 2))
    for value in (0.5, 1, 1.5, 2, 3):
        histogram.observe(value)
    samples = histogram.samples({"api": "Fetch"})
    (family,) = text_string_to_metric_families(
        render([Family("d", "histogram", "Sizes.", samples)]).decode()
    )
    assert [(one.name, one.labels.get("le"), one.value) for one in family.samples] == [
        ("d_bucket", "1", 2),
        ("d_bucket", "2", 4),
        ("d_bucket", "+Inf", 5),
        ("d_sum", None, 8),
        ("d_count", None, 5),
    ]
