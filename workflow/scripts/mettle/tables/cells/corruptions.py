"""Tables of scores under corruptions, and of pictures."""

from mettle.tables.columns import BINARY, INT, RESULT, STR, Column, Table, keys

ROBUSTNESS = Table(
    "robustness_scores",
    "Scores of a model under corruptions. `statistic` is `score`, of the images under one condition (severity 0 is "
    "clean); `mpc`, the mean over corruptions of their means over severities, and `rpc`, its ratio to the clean score "
    "where more is better (Michaelis et al. 2019); `ce` and `mce`, errors relative to AlexNet's, and `relative_ce` and "
    "`relative_mce`, the same less the clean errors (Hendrycks & Dietterich 2019). lo and hi are a 95 % bootstrap "
    "interval over images.",
    keys("dataset", "split", "model", "task", "corruption")
    | {
        "corruption": Column(
            STR,
            "type; `clean`; or of a mean: `mean` for all types of the set, a group of them, or `without_noise`",
        ),
        "severity": Column(INT, "severity; 0 for clean images; null for the mean over all of the set", nullable=True),
        "measure": Column(STR, "score of the task, as accuracy or miou"),
        "statistic": Column(STR, "what was made of it"),
    }
    | RESULT,
)

EXAMPLES = Table(
    "examples",
    "Held-out images under every corruption at every severity, and clean (severity 0); `value` is the peak "
    "signal-to-noise ratio to the clean image in dB.",
    keys("dataset", "corruption", "severity", "measure", "id")
    | RESULT
    | {"image": Column(BINARY, "PNG, reduced where the longer side exceeds 256 pixels")},
)

PICTURES = Table(
    "pictures",
    "Held-out images of a dense task, their targets, and what a model makes of them, clean and attacked; `value` is "
    "the score of one answer alone.",
    keys("dataset", "split", "model", "attack", "norm", "eps", "measure", "id")
    | {
        "shows": Column(
            STR, "`image`, `target`, `answer`; `attacked`, the attacked image; `attacked_answer`, that to it"
        )
    }
    | RESULT
    | {"image": EXAMPLES.columns["image"]},
)
